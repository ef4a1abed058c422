"""The options of the commands that train, in sets that a command takes as one value each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from lossbench.cli.app import DataDirOption, HomeOption
from lossbench.home import Keep

__all__ = ["Again", "How", "Where"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where cells run."""

    jobs: Annotated[str, typer.Option("--jobs", "-j", metavar="N|auto", help="Worker processes; auto measures.")] = "1"
    gpus: Annotated[
        str | None,
        typer.Option("--gpus", metavar="LIST", help="Work on these GPUs, such as 0,1,3.", show_default=False),
    ] = None
    jobs_per_gpu: Annotated[
        int, typer.Option("--jobs-per-gpu", min=1, metavar="N", help="Cells that share each GPU.")
    ] = 1
    engine: Annotated[
        Literal["local", "ray", "slurm"],
        typer.Option("--engine", help="Who runs the cells: worker processes here, Ray, or an array of SLURM jobs."),
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="The Ray cluster, or auto for the one this machine belongs to. [default: start one here]",
            show_default=False,
        ),
    ] = None
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm",
            metavar="NAME=VALUE",
            help="What each SLURM job asks for, such as partition=gpu or gpus_per_node=1; repeatable.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What becomes of cells that have been trained or begun before."""

    resume: Annotated[
        list[str] | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with this run as it was asked for, instead of naming a preset; repeatable.",
            show_default=False,
        ),
    ] = None
    retry: Annotated[
        Literal["failed"] | None,
        typer.Option("--retry", metavar="failed", help="Take up failed runs again.", show_default=False),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Train again what is done already.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How cells are trained, shown and kept, wherever they run."""

    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")] = "auto"
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            max=1024,
            metavar="N",
            help="CPU threads per process. [default: by the size of the network]",
            show_default=False,
        ),
    ] = None
    devices: Annotated[
        int | None,
        typer.Option(
            "--devices", min=1, metavar="N", help="Train each network on N devices at once.", show_default=False
        ),
    ] = None
    batch_per_device: Annotated[
        int | None,
        typer.Option(
            "--batch-per-device",
            min=1,
            metavar="N",
            help="Rows that pass through a network at once; gradients of a batch are summed over passes.",
            show_default=False,
        ),
    ] = None
    max_time: Annotated[
        str | None,
        typer.Option(
            "--max-time",
            metavar="TIME",
            help="Stop in good order after 90s, 30m or 3h; the same command resumes.",
            show_default=False,
        ),
    ] = None
    keep: Annotated[Keep, typer.Option("--keep-checkpoints", help="Which checkpoints outlive a finished run.")] = "none"
    checkpoint_dir: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint-dir",
            metavar="DIR",
            help="Folder of the checkpoints, such as one that machines share. [default: in the folder of the runs]",
            show_default=False,
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and train nothing.")] = False
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of bars, for logs.")] = False
    home: HomeOption = None
    data_dir: DataDirOption = None
