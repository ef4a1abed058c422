"""What `run` and `sweep` share: plan, train, show, and the exit code of it all."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossbench.cli.app import Format, show
from lossbench.cli.progress import follow
from lossbench.cli.signals import stop_on_signals
from lossbench.cli.terminal import emit, note
from lossbench.errors import ExitCode, UsageError
from lossbench.events import EpochDone, RunEnded, RunStarted
from lossbench.home import find_home
from lossbench.spec import RunSpec

if TYPE_CHECKING:
    from lossbench.sweep import Planned

__all__ = [
    "DeviceOption",
    "DryRunOption",
    "ForceOption",
    "MaxTimeOption",
    "PlainOption",
    "RetryOption",
    "ThreadsOption",
    "parse_duration",
    "train",
]

DeviceOption = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="N",
        help="CPU threads per process. [default: by the size of the network]",
        show_default=False,
    ),
]
MaxTimeOption = Annotated[
    str | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        help="Stop in good order after 90s, 30m or 3h; the same command resumes.",
        show_default=False,
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Train again what is done already.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Take up failed runs again.")]
PlainOption = Annotated[bool, typer.Option("--plain", help="Lines instead of bars, for logs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and train nothing.")]

INGEST_SECONDS = 5.0
"""How often the journals of a long sweep are taken into the store, so that others see it grow."""


def train(
    wanted: Sequence[RunSpec],
    *,
    home: Path | None,
    data_dir: Path | None,
    device: str,
    threads: int | None,
    max_time: str | None,
    force: bool,
    retry: bool,
    dry_run: bool,
    plain: bool,
    jobs: int = 1,
    format: Format = "table",
) -> None:
    """Train the wanted cells that are not done yet; print the run ids and leave with the exit code of them all."""
    from lossbench.data import data_folder
    from lossbench.executors import Inline, Pool, Settings
    from lossbench.store import Store, queries, try_ingest
    from lossbench.sweep import carry_out, plan

    seconds = parse_duration(max_time)
    place = find_home(home)
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
        planned = plan(wanted, queries.cells(store), force=force, retry=retry)
    if dry_run:
        _show_plan(planned, format)
        return
