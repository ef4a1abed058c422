"""Charts over epochs: metrics, paired differences, knob values, speed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lossbench.charts import Axis, Figure, Line, Mark, Panel, Rule
from lossbench.charts.figure import Array, array
from lossbench.errors import NotComparable, NothingFound
from lossbench.measures import MEASURES, SPEED, measure
from lossbench.plots.bands import BAND_NAMES, aligned, band_lines, smoothed
from lossbench.plots.request import Request, difference_unit
from lossbench.plots.runs import (
    Group,
    Quantity,
    curves,
    grouped,
    listed,
    loss_order,
    preset_names,
    quantities,
    recipe_titles,
    select,
)
from lossbench.store import Selection, Store, queries
from lossbench.store.queries import RunBrief

__all__ = ["draw_curves", "draw_differences", "draw_knobs", "draw_throughput"]

_MOST_CHANGES = 8
"""A learning rate that changes more often is a curve to be plotted, not a set of moments to be marked."""


def draw_curves(store: Store, request: Request) -> Figure:
    """Metrics over epochs, one panel per metric, split and preset, with the mean of each loss and its band."""
    rows = select(store, request)
    asked = quantities(store, request, rows)
    return _over_epochs(store, request, rows, asked, marks=True)


def draw_throughput(store: Store, request: Request) -> Figure:
    """How fast the runs train, how much of that time they wait for data, how long an epoch takes, how much memory."""
    rows = select(store, request)
    wanted = [Quantity(measure=MEASURES[name], split="train") for name in SPEED]
    stored = {(each.split, each.name) for each in queries.metrics(store, request.selection)}
    asked = [quantity for quantity in wanted if ("train", quantity.measure.name) in stored]
    if not asked:
        raise NothingFound("no selected run has stored its speed or memory")
    return _over_epochs(store, request, rows, asked, marks=False)


def draw_knobs(store: Store, request: Request) -> Figure:
    """Scheduled and learned knobs over epochs, one panel per knob."""
    rows = select(store, request)
    names = sorted({each.name for each in queries.metrics(store, request.selection) if each.split == "loss"})
    if not names:
        raise NothingFound("no selected run has a scheduled or learned knob")
    asked = [Quantity(measure=measure(name, names), split="loss") for name in names]
    return _over_epochs(store, request, rows, asked, marks=False)


def draw_differences(store: Store, request: Request) -> Figure:
    """Per epoch and loss, its mean paired difference to the baseline, with the interval and the zero line."""
    rows = select(store, request, with_baseline=True)
    losses = loss_order(rows, request.baseline)
    if losses[0] != request.baseline or len(losses) == 1:
        raise NothingFound(
            f"a difference needs runs of {request.baseline} and of another loss; here are {', '.join(losses)}"
        )
    groups, titles = grouped(rows), recipe_titles(store, rows)
    panels: list[Panel] = []
    pairs: set[int] = set()
    for quantity in quantities(store, request, rows):
        values = curves(store, request, quantity)
        unit = difference_unit(quantity.measure)
        for recipe, title in titles.items():
            mine = {group.loss: group for group in groups if group.recipe == recipe}
            marks: list[Mark] = [Rule(axis="y", at=0.0)]
            for loss in losses[1:]:
                if request.baseline not in mine or loss not in mine:
                    continue
                if gains := _gains(mine[request.baseline], mine[loss], values):
                    marks += _lines(request, losses.index(loss), gains, quantity.measure.sign)
                    pairs.add(len(gains))
            label = f"gain in {quantity.title}"
            if len(marks) > 1:
                heading = title if len(titles) > 1 else ""
                panels.append(
                    Panel(title=heading, x=_epochs(request), y=Axis(title=label, unit=unit), marks=tuple(marks))
                )
    if not panels:
        paired = f"of {request.baseline} and another loss with a seed in common"
        raise NotComparable(f"no preset has runs {paired} and an epoch of {request.first_epoch} or later")
    return Figure(
        title=f"gain over {request.baseline} by epoch, above 0 is better, on {preset_names(rows)}",
        panels=tuple(panels),
        series=("", *losses[1:]),
        caption=_caption(request, pairs, " paired with the baseline"),
    )


def _gains(baseline: Group, candidate: Group, values: Mapping[str, tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Candidate minus baseline of every seed both have, at the epochs both have."""
    base = {row.seed: values[row.run_id] for row in baseline.averaged if row.run_id in values}
    gains = []
    for row in candidate.averaged:
        if row.seed in base and row.run_id in values:
            (left, of_left), (right, of_right) = base[row.seed], values[row.run_id]
            epochs, at_left, at_right = np.intersect1d(left, right, return_indices=True)
            gains.append((epochs, array(of_right[at_right]) - array(of_left[at_left])))
    return gains


def _over_epochs(
    store: Store, request: Request, rows: Sequence[RunBrief], asked: Sequence[Quantity], *, marks: bool
) -> Figure:
    losses, groups, titles = loss_order(rows, request.baseline), grouped(rows), recipe_titles(store, rows)
    numbers = {quantity: curves(store, request, quantity) for quantity in asked}
    changes = _changes(store, request, groups) if marks else {}
    counts: set[int] = set()
    drawn: set[str] = set()
    panels: list[Panel] = []
    for recipe, title in titles.items():
        for quantity, values in numbers.items():
            lines: list[Mark] = []
            for group in groups:
                mine = [values[row.run_id] for row in group.averaged if row.run_id in values]
                if group.recipe == recipe and mine:
                    lines += _lines(request, losses.index(group.loss), mine)
                    counts.add(len(mine))
                    drawn.add(group.loss)
            if lines:
                rules = [Rule(axis="x", at=epoch) for epoch in changes.get(recipe, ())]
                x = _epochs(request)
                y = Axis(title=quantity.title, unit=quantity.measure.shown_unit, log=request.log_y)
                panels.append(Panel(title=title if len(titles) > 1 else "", x=x, y=y, marks=(*rules, *lines)))
    what = listed(dict.fromkeys(quantity.title for quantity in asked))
    if not panels:
        raise NothingFound(f"no selected run has {what} at epoch {request.first_epoch} or later")
    return Figure(
        title=f"{what} by epoch on {preset_names(rows)}",
        panels=tuple(panels),
        series=tuple(loss if loss in drawn else "" for loss in losses),
        caption="; ".join([_caption(request, counts), *_remarks(groups, numbers, changes)]),
    )


def _remarks(
    groups: Sequence[Group],
    numbers: Mapping[Quantity, Mapping[str, tuple[Array, Array]]],
    changes: Mapping[str, Sequence[float]],
) -> Iterator[str]:
    """What the picture leaves out, and what its dotted lines are."""
    if left_out := Counter(row.status for group in groups for row in group.runs if row not in group.averaged):
        yield f"left out: {', '.join(f'{count} {status}' for status, count in sorted(left_out.items()))}"
    kept = {row.run_id for group in groups for row in group.averaged}
    for quantity, values in numbers.items():
        # Knobs belong to some losses only; a metric that some runs lack is worth a word.
        if quantity.split != "loss" and (missing := kept - values.keys()):
            yield f"{len(missing)} without {quantity.split}/{quantity.measure.name}"
    if moments := sorted({epoch for epochs in changes.values() for epoch in epochs}):
        yield f"vertical lines: learning rate or knob changes at epoch {', '.join(f'{each:.0f}' for each in moments)}"


def _lines(request: Request, series: int, found: Sequence[tuple[Array, Array]], sign: int = 1) -> list[Line]:
    """The marks of several curves (epochs, values) of one loss, smoothed and cut as asked."""
    epochs, table = aligned(found)
    kept = epochs >= request.first_epoch
    return band_lines(series, epochs[kept], sign * smoothed(table, request.smooth)[:, kept], request.band)


def _changes(store: Store, request: Request, groups: Sequence[Group]) -> dict[str, list[float]]:
    """By recipe, the first epochs of another learning rate or knob value, where these are few."""
    found: dict[str, set[float]] = {}
    # Every seed of a group follows the same schedules, so one run of each tells.
    one_each = replace(request, selection=Selection(runs=tuple(group.runs[0].run_id for group in groups)))
    stored = [each for each in queries.metrics(store, request.selection) if each.split == "loss"]
    watched = [Quantity(measure=MEASURES["lr"], split="train")]
    watched += [Quantity(measure=measure(each.name, [each.name]), split="loss") for each in stored]
    for quantity in watched:
        values = curves(store, one_each, quantity)
        for group in groups:
            if group.runs[0].run_id in values:
                epochs, height = values[group.runs[0].run_id]
                moments = epochs[1:][~np.isclose(height[1:], height[:-1], rtol=1e-9)]
                moments = moments[moments >= request.first_epoch]
                if len(moments) <= _MOST_CHANGES:
                    found.setdefault(group.recipe, set()).update(moments.tolist())
    return {recipe: sorted(moments) for recipe, moments in found.items() if len(moments) <= _MOST_CHANGES}


def _epochs(request: Request) -> Axis:
    return Axis(title="epoch", whole=True, log=request.log_x)


def _caption(request: Request, counts: set[int], how: str = "") -> str:
    if not counts:
        return ""
    n = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    band = f"; {BAND_NAMES[request.band]}" if max(counts) > 1 else ""
    smooth = f"; mean of the last {request.smooth} epochs" if request.smooth > 1 else ""
    return f"n = {n} seed{'s' if max(counts) > 1 else ''}{how}{band}{smooth}"
