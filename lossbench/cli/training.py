"""What the commands that train share: train what is planned, show it, and the exit code of it all."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lossbench.cli.app import Format
from lossbench.cli.options import Again, How, Where
from lossbench.cli.placing import executor_for
from lossbench.cli.plan import show_plan
from lossbench.cli.terminal import emit, note
from lossbench.errors import UsageError
from lossbench.home import find_home

if TYPE_CHECKING:
    from lossbench.cli.carrying import Trained
    from lossbench.spec import RunSpec
    from lossbench.stopwatch import Stopwatch
    from lossbench.store import Store
    from lossbench.sweep import Planned

__all__ = ["Rounds", "cells_of", "parse_duration", "resuming", "train"]


def train(
    planning: "Callable[[Store], Sequence[Planned]]",
    how: How,
    where: Where,
    format: Format = "table",
    *,
    watch: "Stopwatch | None" = None,
) -> None:
    """Train what is planned in sight of the store; print the run ids and leave with the exit code of them all."""
    from lossbench.cli.carrying import carry, settings
    from lossbench.store import Store

    if how.dry_run:
        executor_for(where, how, settings(how))
        with Store.open(find_home(how.home)) as store:
            for text in store.notes:
                note(text)
            show_plan(planning(store), format)
        return
    trained = carry(planning, how, where, parse_duration(how.max_time), watch=watch)
    for run_id in trained.runs.values():
        emit(run_id)
    if trained.left_out is not None:
        raise trained.left_out
    raise typer.Exit(trained.exit_code)


class Rounds:
    """Cells that are trained one block after the other, within the time there is for all of them."""

    def __init__(self, again: Again, how: How, where: Where) -> None:
        self._again, self._how, self._where = again, how, where
        self._budget = parse_duration(how.max_time)
        self._began = time.monotonic()

    @property
    def home(self) -> Path | None:
        return self._how.home

    def train(self, cells: "Sequence[RunSpec]") -> "Trained":
        """How a block went; ends the program where somebody ends the training.

        Raises:
            LossbenchError: cells could not begin.
        """
        from lossbench.cli.carrying import carry

        left = None if self._budget is None else max(0.0, self._budget - (time.monotonic() - self._began))
        trained = carry(cells_of(cells, self._again), self._how, self._where, left)
        if trained.left_out is not None:
            raise trained.left_out
        if trained.stopped:
            raise typer.Exit(trained.exit_code)
        return trained


def cells_of(wanted: "Sequence[RunSpec]", again: Again) -> "Callable[[Store], Sequence[Planned]]":
    """A plan for these cells against what the store knows of them.

    Raises:
        UsageError: the epochs or classes of a cell cannot serve its loss, or the classes its metric.
    """
    from lossbench import data, measures, objective
    from lossbench.store import queries
    from lossbench.sweep import plan

    for loss, preset in dict.fromkeys((spec.loss, spec.preset) for spec in wanted):
        classes = data.classes_of(preset.data)
        objective.check(loss, epochs=preset.epochs, classes=classes)
        measures.check(preset.metric.name, classes)
    return lambda store: plan(wanted, queries.cells(store), force=again.force, retry=again.retry is not None)


def resuming(
    selectors: list[str], *, where: str | None = None, anew: bool = False, asked: "RunSpec | None" = None
) -> "Callable[[Store], Sequence[Planned]]":
    """A plan to go on with stored runs, or to train what they were asked once more.

    It refuses runs that were not `asked` for in the same words, where there are any.
    """
    from lossbench.cli.selecting import pick
    from lossbench.spec import differing_fields
    from lossbench.store import queries
    from lossbench.sweep import plan_again

    def planning(store: "Store") -> "Sequence[Planned]":
        runs = [queries.run(store, run_id) for run_id in pick(store, selectors, where)]
        for run in runs:
            if asked and (fields := differing_fields(run.spec, asked.resolved())):
                raise UsageError(f"run {run.row.run_id} was started with another {', '.join(fields)}")
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
    match = re.fullmatch(r"(?=\d)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", text)
    if match is None:
        raise UsageError(f"time {text!r}: write 90s, 30m, 3h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)
