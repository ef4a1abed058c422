"""Carrying out a plan in sight of the store and of whoever watches."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from lossbench.cli.options import How, Where
from lossbench.cli.placing import executor_for
from lossbench.cli.preparing import prepare
from lossbench.cli.progress import follow
from lossbench.cli.signals import stop_on_signals
from lossbench.cli.terminal import note
from lossbench.errors import ExitCode, LossbenchError
from lossbench.events import EpochDone, RunEnded, RunStarted
from lossbench.home import find_home

if TYPE_CHECKING:
    from lossbench.executors import Settings
    from lossbench.stopwatch import Stopwatch
    from lossbench.store import Store
    from lossbench.sweep import Planned

__all__ = ["Trained", "carry", "settings"]

INGEST_SECONDS = 5.0
"""How often the journals of a long sweep are taken into the store, so that others see it grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How a plan went."""

    exit_code: ExitCode
    """That of the worst end."""
    runs: Mapping[str, str]
    """The run of each cell that has one, by the cell's key."""
    stopped: bool
    """Whether somebody ended it before its time, or its time was over."""
    left_out: LossbenchError | None
    """What kept cells from beginning at all, so that there is no run to say it of."""


def carry(
    planning: "Callable[[Store], Sequence[Planned]]",
    how: How,
    where: Where,
    seconds: float | None = None,
    *,
    watch: "Stopwatch | None" = None,
) -> Trained:
    """Train what is planned in sight of the store, for so many seconds at most.

    A cell that cannot begin leaves the others alone.
    """
    from lossbench.losses import cautions
    from lossbench.store import Store, try_ingest, upkeep
    from lossbench.sweep import carry_out, grouped

    chosen = replace(settings(how), watch=watch)
    place = chosen.home
    executor = executor_for(where, how, chosen)
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
        planned = planning(store)
    place.create()
    todo = [each for each in planned if each.action in ("start", "resume")]
    _tell(planned)
    for text in dict.fromkeys(text for each in todo for text in cautions(each.spec.loss)):
        note(text)
    if where.address is None:  # the machines of a cluster have data folders of their own
        prepare([each.spec.preset.data for each in todo], chosen.data_folder, plain=how.plain)
    if where.jobs == "auto":
        from lossbench.executors.choosing import choose

        executor, choice = choose([each.spec for each in todo], partial(grouped, todo), chosen)
        note(choice)
    begun: dict[str, str] = {}
    left_out: LossbenchError | None = None
    statuses = Counter(each.status for each in planned if each.action in ("keep", "leave"))
    with stop_on_signals(seconds) as stop, follow(len(todo), stop, plain=how.plain) as show_event:
        ingest_at = time.monotonic() + INGEST_SECONDS
        try:
            for event in carry_out(todo, executor, stop):
                show_event(event)
                match event:
                    case RunStarted():
                        gc.enable()  # everything is imported now, and what follows may take days
                        begun[event.run_id] = event.key
                        if reason := event.provenance.get("uncompiled"):
                            note(f"run {event.run_id} trains uncompiled, since compiling failed: {reason}")
                    case RunEnded():
                        statuses[event.status] += 1
                    case EpochDone() if time.monotonic() >= ingest_at:
                        try_ingest(place)
                        ingest_at = time.monotonic() + INGEST_SECONDS
        except LossbenchError as error:
            left_out = error
        stopped = stop()
    if left_out is not None and begun:
        note(f"{len(todo) - len(begun)} of {len(todo)} cells could not begin")
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
    upkeep.try_pack(place)
    new = {key: run_id for run_id, key in begun.items()}
    runs = {each.spec.key: new.get(each.spec.key) if each.action == "start" else each.run_id for each in planned}
    return Trained(
        exit_code=_exit_code(statuses, len(todo) - len(begun), stop.exit_code if stopped else None),
        runs={key: run_id for key, run_id in runs.items() if run_id},
        stopped=stopped,
        left_out=left_out,
    )


def settings(how: How) -> "Settings":
    from lossbench.data import data_folder
    from lossbench.executors import Settings

    folder = how.checkpoint_dir and how.checkpoint_dir.expanduser().absolute()
    return Settings(
        home=replace(find_home(how.home), checkpoint_folder=folder),
        data_folder=data_folder(how.data_dir),
        device=how.device,
        threads=how.threads,
        keep=how.keep,
        largest=how.batch_per_device,
    )


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
