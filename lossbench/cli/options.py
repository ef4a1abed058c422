"""The options of the commands that train."""

from typing import Annotated, Literal

import typer

__all__ = [
    "DeviceOption",
    "DryRunOption",
    "ForceOption",
    "JobsOption",
    "KeepOption",
    "MaxTimeOption",
    "PlainOption",
    "ResumeOption",
    "RetryOption",
    "ThreadsOption",
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
RetryOption = Annotated[
    Literal["failed"] | None,
    typer.Option("--retry", metavar="failed", help="Take up failed runs again.", show_default=False),
]
ResumeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Go on with this run as it was asked for, instead of naming a preset; repeatable.",
        show_default=False,
    ),
]
KeepOption = Annotated[
    Literal["last", "all", "none"],
    typer.Option("--keep-checkpoints", help="Which checkpoints outlive a finished run."),
]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Worker processes.")]
PlainOption = Annotated[bool, typer.Option("--plain", help="Lines instead of bars, for logs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and train nothing.")]
