"""Charts of the predictions a run keeps: calibration, and how confident right and wrong answers are."""

from collections.abc import Mapping, Sequence

import numpy as np

from lossbench.charts import Axis, Bars, Figure, Line, Mark, Panel
from lossbench.charts.figure import Array
from lossbench.errors import NothingFound
from lossbench.plots.request import Request
from lossbench.plots.runs import Group, grouped, listed, loss_order, preset_names, recipe_titles, select
from lossbench.store import Store, queries
from lossbench.store.queries import Predictions

__all__ = ["draw_calibration", "draw_confidence"]

_BINS = 15
_BARS = 20
_PERCENT = (0.0, 100.0)


def draw_calibration(store: Store, request: Request) -> Figure:
    """Accuracy by confidence in 15 equal bins (lo, hi] with the diagonal, and how many rows each bin holds."""
    groups, titles, losses, found, split = _kept(store, request)
    diagonal = Line(series=None, x=np.array(_PERCENT), y=np.array(_PERCENT))
    panels = []
    for recipe, title in titles.items():
        curves: list[Mark] = [diagonal]
        counts: list[Mark] = []
        for group in (group for group in groups if group.recipe == recipe):
            confidence, right = _pooled(group, found, "p_max"), _pooled(group, found, "right")
            bins = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
            rows = np.bincount(bins, minlength=_BINS).astype(np.float64)
            seen = np.where(rows > 0, rows, np.nan)
            x = 100 * np.bincount(bins, confidence, minlength=_BINS) / seen
            accuracy = 100 * np.bincount(bins, right, minlength=_BINS) / seen
            held, series = rows > 0, losses.index(group.loss)
            curves.append(Line(series=series, x=x[held], y=accuracy[held]))
            middles = 100 * (np.arange(_BINS) + 0.5) / _BINS
            counts.append(Line(series=series, x=middles, y=100 * rows / rows.sum()))
        x_axis = Axis(title="confidence", unit="%", limits=_PERCENT)
        y_axis = Axis(title="accuracy at that confidence", unit="%", limits=_PERCENT)
        heading = title if len(titles) > 1 else ""
        panels.append(Panel(title=heading, x=x_axis, y=y_axis, marks=tuple(curves)))
        panels.append(
            Panel(title=heading, x=x_axis, y=Axis(title="rows at that confidence", unit="%"), marks=tuple(counts))
        )
    presets = preset_names(row for group in groups for row in group.runs)
    return Figure(
        title=f"reliability of {split} predictions on {presets}; below the diagonal: over-confident",
        panels=tuple(panels),
        series=losses,
        caption=f"{_BINS} equal bins, predictions of {_runs(groups, found)} pooled per loss",
        together=2,
    )


def draw_confidence(store: Store, request: Request) -> Figure:
    """How the probability of the true class is spread over rows answered right and rows answered wrong."""
    groups, titles, losses, found, split = _kept(store, request)
    edges = np.linspace(0.0, 1.0, _BARS + 1)
    panels = []
    for group in sorted(groups, key=lambda group: losses.index(group.loss)):
        p_true, right = _pooled(group, found, "p_true"), _pooled(group, found, "right").astype(bool)
        of_right, of_wrong = (_shares(p_true[chosen], edges) for chosen in (right, ~right))
        stairs = Line(series=1, x=np.repeat(edges, 2)[1:-1], y=np.repeat(of_wrong, 2))
        marks = (Bars(series=0, edges=edges, heights=of_right), stairs)
        where = f" on {titles[group.recipe]}" if len(titles) > 1 else ""
        title = f"{group.loss}{where}: {100 * right.mean():.2f} % right"
        x, y = Axis(title="p_y", limits=(0.0, 1.0)), Axis(title="rows, right and wrong 100 % each", unit="%")
        panels.append(Panel(title=title, x=x, y=y, marks=marks))
    presets = preset_names(row for group in groups for row in group.runs)
    return Figure(
        title=f"probability of the true class p_y over {split} rows on {presets}",
        panels=tuple(panels),
        series=("right", "wrong"),
        caption=f"{_BARS} equal bins, predictions of {_runs(groups, found)} pooled per loss",
    )


def _shares(p: Array, edges: Array) -> Array:
    """Percent of the values that fall between neighbouring edges; zeros where there are none."""
    heights, _ = np.histogram(p, edges)
    return np.asarray(100 * heights / max(1, len(p)), dtype=np.float64)


def _kept(
    store: Store, request: Request
) -> tuple[list[Group], dict[str, str], tuple[str, ...], Mapping[str, Predictions], str]:
    """Groups with predictions, the titles of their recipes, their losses, and the predictions by run."""
    rows = select(store, request)
    split = request.splits[0]
    found = queries.predictions(store, request.selection, split=split)
    rows = [row for row in rows if row.run_id in found]
    if not rows:
        raise NothingFound(f"no selected run has kept predictions on {split}; finished runs keep those of test")
    return grouped(rows), recipe_titles(store, rows), loss_order(rows, request.baseline), found, split


def _pooled(group: Group, found: Mapping[str, Predictions], column: str) -> Array:
    """One value per row and run of a group; `right` is 1 where the prediction is the label."""
    parts: Sequence[Array] = [
        (each.label == each.predicted) if column == "right" else getattr(each, column)
        for each in (found[row.run_id] for row in group.runs)
    ]
    return np.concatenate([part.astype(np.float64) for part in parts])


def _runs(groups: Sequence[Group], found: Mapping[str, Predictions]) -> str:
    counts = sorted({len(group.runs) for group in groups})
    sizes = sorted({len(found[row.run_id].label) for group in groups for row in group.runs})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    return f"{n} seeds with {listed(f'{size:,}' for size in sizes)} rows each"
