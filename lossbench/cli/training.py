"""What `run` and `sweep` share: plan, train, show, and the exit code of it all."""

import re
import time
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
    place.create()
    settings = Settings(home=place, data_folder=data_folder(data_dir), device=device, threads=threads)
    executor = Pool(settings, workers=jobs) if jobs > 1 else Inline(settings)
    todo = [each for each in planned if each.action in ("start", "resume")]
    _tell(planned)
    attempts = {each.spec.key: each.run_id for each in planned if each.action == "keep"}
    statuses = Counter(each.status for each in planned if each.action in ("keep", "leave"))
    begun = 0
    with stop_on_signals(seconds) as stop, follow(len(todo), plain=plain) as show_event:
        ingest_at = time.monotonic() + INGEST_SECONDS
        for event in carry_out(todo, executor, stop, jobs=jobs):
            show_event(event)
            match event:
                case RunStarted():
                    attempts[event.key] = event.run_id
                    begun += 1
                case RunEnded():
                    statuses[event.status] += 1
                case EpochDone() if time.monotonic() >= ingest_at:
                    try_ingest(place)
                    ingest_at = time.monotonic() + INGEST_SECONDS
        stopped = stop()
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
    for spec in wanted:
        if run_id := attempts.get(spec.key):
            emit(run_id)
    raise typer.Exit(_exit_code(statuses, len(todo) - begun, stop.exit_code if stopped else None))


def parse_duration(text: str | None) -> float | None:
    """Seconds of `90s`, `30m`, `3h` or `1h30m`; None stays None.

    Raises:
        UsageError: the text is none of these.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if match is None:
        raise UsageError(f"time {text!r}: write 90s, 30m, 3h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _exit_code(statuses: Counter[str], left: int, stopped: ExitCode | None) -> ExitCode:
    """That of the worst end: `left` counts the cells that never began."""
    if stopped is not None and (left or statuses["interrupted"]):
        return stopped
    if statuses["failed"]:
        return ExitCode.FAILED
    return ExitCode.DIVERGED if statuses["diverged"] else ExitCode.DONE


def _tell(planned: Sequence["Planned"]) -> None:
    """Say which cells will not be trained, and why."""
    counts: Counter[tuple[str, str]] = Counter((each.action, each.status) for each in planned)
    hints = {
        ("keep", "done"): "done already; --force trains again",
        ("keep", "diverged"): "known to diverge; --force trains again",
        ("leave", "failed"): "failed before; --retry-failed takes up again",
        ("leave", "running"): "being trained by another process",
    }
    for state, hint in hints.items():
        if counts[state]:
            note(f"{counts[state]} of {len(planned)} {'is' if counts[state] == 1 else 'are'} {hint}")


def _show_plan(planned: Sequence["Planned"], format: Format) -> None:
    from lossbench.render import Column, Table

    columns = (
        Column(key="key", title="cell", anchor=True),
        Column(key="preset", title="preset"),
        Column(key="loss", title="loss"),
        Column(key="seed", title="seed", kind="integer"),
        Column(key="action", title="action"),
        Column(key="status", title="status"),
        Column(key="epoch", title="epoch", kind="integer"),
        Column(key="epochs", title="of", kind="integer"),
        Column(key="run_id", title="run"),
    )
    rows = tuple(
        (
            each.spec.key,
            each.spec.preset.name,
            str(each.spec.loss),
            each.spec.seed,
            each.action,
            each.status,
            each.epoch,
            each.spec.preset.epochs,
            each.run_id,
        )
        for each in planned
    )
    show(Table(name="plan", columns=columns, rows=rows), format)
