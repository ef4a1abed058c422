"""The forest: the gain of every loss on every preset."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lossbench.charts import Axis, Figure, Panel, Points, Rule
from lossbench.compare import Comparison
from lossbench.compare.values import Across
from lossbench.compare.values import Panel as Compared
from lossbench.errors import NothingFound
from lossbench.plots.comparing import caption_of, compared
from lossbench.plots.request import Request, difference_unit
from lossbench.plots.runs import listed
from lossbench.store import Store

__all__ = ["draw_forest"]


class _Row(NamedTuple):
    """One gain with its interval, in the units in which it is stored."""

    series: int
    name: str
    gain: float
    low: float | None
    high: float | None


def draw_forest(store: Store, request: Request) -> Figure:
    """The gain of each loss over the baseline on each preset with its interval, pooled over presets at the bottom."""
    found = compared(store, request)
    losses = tuple(dict.fromkeys(each.candidate.loss for panel in found.panels for each in panel.contrasts))
    units = {(difference_unit(panel.measure), panel.measure.scale, panel.measure.title) for panel in found.panels}
    panels = []
    for unit, scale, title in sorted(units):
        own = [panel for panel in found.panels if panel.measure.title == title]
        blocks = [(loss, _rows_of(loss, series, own)) for series, loss in enumerate(losses)]
        across = _pooled(found.across, losses) if len(units) == 1 else []
        if any(rows for _, rows in blocks):
            panels.append(_panel(blocks, across, scale, Axis(title=f"gain in {title}", unit=unit)))
    if not panels:
        raise NothingFound("no loss has a gain to draw")
    pooled = "; pooled: random effects over presets" if any(each.gain is not None for each in found.across) else ""
    return Figure(
        title=f"gain over {found.baseline}, right of 0 is better, on {listed(panel.preset for panel in found.panels)}",
        panels=tuple(panels),
        series=losses,
        caption=caption_of(
            f"{_pairs(found)}mean difference of seed pairs with its own 95 % t interval{pooled}", request
        ),
    )


def _rows_of(loss: str, series: int, panels: Sequence[Compared]) -> list[_Row]:
    """The gains of one loss, named by preset where there are several."""
    return [
        _Row(series, f"{panel.preset if len(panels) > 1 else loss} (n = {each.n})", each.gain, each.low, each.high)
        for panel in panels
        for each in panel.contrasts
        if each.candidate.loss == loss and each.gain is not None
    ]


def _pooled(across: Sequence[Across], losses: Sequence[str]) -> list[_Row]:
    return [
        _Row(losses.index(each.candidate), f"{each.candidate}, {each.presets} presets", each.gain, each.low, each.high)
        for each in across
        if each.gain is not None
    ]


def _panel(blocks: Sequence[tuple[str, Sequence[_Row]]], pooled: Sequence[_Row], scale: float, x: Axis) -> Panel:
    """Blocks of rows beneath the name of their loss; without such names where each loss has but one row."""
    names: list[str] = []
    headings: list[int] = []
    marks: list[Points | Rule] = [Rule(axis="x", at=0.0)]
    titled = pooled or any(len(rows) > 1 for _, rows in blocks)
    for heading, rows in [*blocks, ("pooled", pooled)]:
        if titled and rows:
            headings.append(len(names))
            names.append(heading)
        for row in rows:
            low, high = (np.array([np.nan if end is None else scale * end]) for end in (row.low, row.high))
            place, gain = np.array([float(len(names))]), np.array([scale * row.gain])
            marks.append(Points(series=row.series, x=gain, y=place, low=low, high=high))
            names.append(row.name)
    y = Axis(title="", names=tuple(names), headings=tuple(headings), closing=len(pooled) + 1 if pooled else 0)
    return Panel(x=x, y=y, marks=tuple(marks))


def _pairs(found: Comparison) -> str:
    """How many pairs there are, where all rows have as many."""
    counts = {each.n for panel in found.panels for each in panel.contrasts if each.gain is not None}
    return f"n = {counts.pop()}; " if len(counts) == 1 else ""
