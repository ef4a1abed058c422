"""Charts of final values per loss: boxes, and every seed a point."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lossbench.charts import Axis, Box, Figure, Line, Mark, Panel, Points
from lossbench.plots.request import Request
from lossbench.plots.runs import (
    Group,
    finals,
    grouped,
    listed,
    loss_order,
    preset_names,
    quantities,
    recipe_titles,
    select,
)
from lossbench.store import Store

__all__ = ["draw_box", "draw_strip"]

_Values = Mapping[str, float]


def draw_box(store: Store, request: Request) -> Figure:
    """Final values per loss as boxes: smallest, quartiles, largest."""

    def marks(y: int, series: int, group: Group, values: _Values) -> list[Mark]:
        own = np.array([values[row.run_id] for row in group.runs if row.run_id in values])
        low, quarter, median, three_quarters, high = np.quantile(own, [0, 0.25, 0.5, 0.75, 1])
        five = {"low": low, "quarter": quarter, "median": median, "three_quarters": three_quarters, "high": high}
        return [Box(series=series, y=float(y), **{name: float(value) for name, value in five.items()})]

    return _per_loss(store, request, marks, "boxes: smallest value, quartiles, largest")


def draw_strip(store: Store, request: Request) -> Figure:
    """Final values per loss, every seed a point; values of one seed are joined, so that pairs show."""

    def marks(y: int, series: int, group: Group, values: _Values) -> list[Mark]:
        own = np.array([values[row.run_id] for row in group.runs if row.run_id in values])
        return [Points(series=series, x=own, y=np.full(len(own), float(y)))]

    return _per_loss(store, request, marks, "one point per seed, lines join the values of a seed", join=True)


def _per_loss(
    store: Store,
    request: Request,
    marks: Callable[[int, int, Group, _Values], list[Mark]],
    explained: str,
    *,
    join: bool = False,
) -> Figure:
    rows = select(store, request)
    losses, groups, titles = loss_order(rows, request.baseline), grouped(rows), recipe_titles(store, rows)
    panels: list[Panel] = []
    rules: list[str] = []
    remarks: list[str] = []
    for quantity in quantities(store, request, rows):
        values, at = finals(store, request, quantity, rows)
        rules += [at] if at not in rules else []
        if missing := sum(row.run_id not in values for row in rows):
            remarks.append(f"{missing} without a finite {quantity.split}/{quantity.measure.name} at the end")
        for recipe, title in titles.items():
            mine = [g for g in groups if g.recipe == recipe and any(row.run_id in values for row in g.runs)]
            mine.sort(key=lambda group: losses.index(group.loss))
            drawn = [m for y, group in enumerate(mine) for m in marks(y, losses.index(group.loss), group, values)]
            if not drawn:
                continue
            names = tuple(f"{group.loss} (n = {sum(row.run_id in values for row in group.runs)})" for group in mine)
            x = Axis(title=quantity.title, unit=quantity.measure.shown_unit, log=request.log_x)
            joins = _joins(mine, values) if join else []
            heading = title if len(titles) > 1 else ""
            panels.append(Panel(title=heading, x=x, y=Axis(title="", names=names), marks=(*joins, *drawn)))
    what = listed(dict.fromkeys(panel.x.title for panel in panels))
    return Figure(
        title=f"{what} ({', '.join(rules)}) per loss on {preset_names(rows)}",
        panels=tuple(panels),
        series=("",) * len(losses),
        caption="; ".join([explained, *remarks]),
    )


def _joins(groups: Sequence[Group], values: _Values) -> list[Line]:
    lines = []
    for seed in sorted({row.seed for group in groups for row in group.runs}):
        found = [
            (y, values[row.run_id])
            for y, g in enumerate(groups)
            for row in g.runs
            if row.seed == seed and row.run_id in values
        ]
        if len(found) > 1:
            lines.append(Line(series=None, x=np.array([x for _, x in found]), y=np.array([float(y) for y, _ in found])))
    return lines
