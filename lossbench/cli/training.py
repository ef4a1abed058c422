"""What `run`, `sweep` and `rerun` share: train what is planned, show it, and the exit code of it all."""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from lossbench.cli.app import Format
from lossbench.cli.options import Again, How, Where
from lossbench.cli.placing import executor_for
from lossbench.cli.plan import show_plan
from lossbench.cli.progress import follow
from lossbench.cli.signals import stop_on_signals
from lossbench.cli.terminal import emit, note
from lossbench.errors import ExitCode, UsageError
from lossbench.events import EpochDone, RunEnded, RunStarted
from lossbench.home import find_home
from lossbench.spec import RunSpec

if TYPE_CHECKING:
    from lossbench.store import Store
    from lossbench.sweep import Planned

__all__ = ["cells_of", "parse_duration", "resuming", "train"]

INGEST_SECONDS = 5.0
"""How often the journals of a long sweep are taken into the store, so that others see it grow."""


def train(
    planning: "Callable[[Store], Sequence[Planned]]",
    how: How,
    where: Where,
    format: Format = "table",
) -> None:
    """Train what is planned in sight of the store; print the run ids and leave with the exit code of them all."""
    from lossbench.data import data_folder
    from lossbench.executors import Settings
    from lossbench.losses import cautions
    from lossbench.store import Store, try_ingest
    from lossbench.sweep import carry_out

    seconds = parse_duration(how.max_time)
    place = find_home(how.home)
    settings = Settings(
        home=place, data_folder=data_folder(how.data_dir), device=how.device, threads=how.threads, keep=how.keep
    )
    executor = executor_for(where, settings)
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
        planned = planning(store)
    if how.dry_run:
        show_plan(planned, format)
        return
    place.create()
    todo = [each for each in planned if each.action in ("start", "resume")]
    _tell(planned)
    for text in dict.fromkeys(text for each in todo for text in cautions(each.spec.loss)):
        note(text)
    begun: dict[str, str] = {}
    statuses = Counter(each.status for each in planned if each.action in ("keep", "leave"))
    with stop_on_signals(seconds) as stop, follow(len(todo), plain=how.plain) as show_event:
        ingest_at = time.monotonic() + INGEST_SECONDS
        for event in carry_out(todo, executor, stop):
            show_event(event)
            match event:
                case RunStarted():
                    begun[event.run_id] = event.key
                case RunEnded():
                    statuses[event.status] += 1
                case EpochDone() if time.monotonic() >= ingest_at:
                    try_ingest(place)
                    ingest_at = time.monotonic() + INGEST_SECONDS
        stopped = stop()
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
    new = {key: run_id for run_id, key in begun.items()}
    for each in planned:
        if run_id := new.get(each.spec.key) if each.action == "start" else each.run_id:
            emit(run_id)
    raise typer.Exit(_exit_code(statuses, len(todo) - len(begun), stop.exit_code if stopped else None))


def cells_of(wanted: Sequence[RunSpec], again: Again) -> "Callable[[Store], Sequence[Planned]]":
    """A plan for these cells against what the store knows of them."""
    from lossbench.store import queries
    from lossbench.sweep import plan

    return lambda store: plan(wanted, queries.cells(store), force=again.force, retry=again.retry is not None)


def resuming(
    selectors: list[str], *, where: str | None = None, anew: bool = False
) -> "Callable[[Store], Sequence[Planned]]":
    """A plan to go on with stored runs, or to train what they were asked once more."""
    from lossbench.cli.selecting import pick
    from lossbench.store import queries
    from lossbench.sweep import plan_again

    def planning(store: "Store") -> "Sequence[Planned]":
        runs = [queries.run(store, run_id) for run_id in pick(store, selectors, where)]
        foreign = sum(run.spec["loss"]["code"] is not None for run in runs)
        if foreign:
            note(f"{foreign} of these runs train with the loss function that is stored with them")
        return plan_again(runs, anew=anew)

    return planning


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
        ("leave", "failed"): "failed before; --retry failed takes up again",
        ("leave", "running"): "being trained by another process",
    }
    for state, hint in hints.items():
        if counts[state]:
            note(f"{counts[state]} of {len(planned)} {'is' if counts[state] == 1 else 'are'} {hint}")
