"""The numbers of a figure, one row per drawn value, for whoever wants to draw or read them otherwise."""

import csv
import io
from collections.abc import Iterator

from lossbench.charts.figure import Array, Bars, Box, Cells, Figure, Line, Mark, Panel, Points, Rule, Span

__all__ = ["table"]

_HEADER = ("panel", "series", "mark", "x", "y", "low", "high")
_Row = tuple[str, str, str, float | str, float | str, float | None, float | None]


def table(figure: Figure) -> str:
    """Everything the figure shows as csv, in the units of its axes; categories by name."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(_rows(figure))
    return file.getvalue()


def _rows(figure: Figure) -> Iterator[_Row]:
    for panel in figure.panels:
        name = panel.title or panel.y.label or panel.x.label
        for mark in panel.marks:
            series = _series(figure, mark)
            if isinstance(mark, Box):
                y = _category(panel.y.names, mark.y)
                yield name, series, "quartiles", mark.median, y, mark.quarter, mark.three_quarters
                yield name, series, "range", mark.median, y, mark.low, mark.high
                continue
            for x, y, low, high in _values(panel, mark):
                yield name, series, type(mark).__name__.lower(), x, y, low, high


def _series(figure: Figure, mark: Mark) -> str:
    index = getattr(mark, "series", None)
    return "" if index is None else figure.series[index]


def _values(panel: Panel, mark: Mark) -> Iterator[tuple[float | str, float | str, float | None, float | None]]:
    match mark:
        case Line() | Points():
            for index in range(len(mark.x)):
                y = _category(panel.y.names, float(mark.y[index]))
                yield float(mark.x[index]), y, _at(mark.low, index), _at(mark.high, index)
        case Bars():
            for index, height in enumerate(mark.heights):
                low, high = float(mark.edges[index]), float(mark.edges[index + 1])
                yield (low + high) / 2, float(height), low, high
        case Span():
            yield (mark.low + mark.high) / 2, _category(panel.y.names, mark.y), mark.low, mark.high
        case Rule():
            yield (mark.at, mark.label, None, None) if mark.axis == "x" else (mark.label, mark.at, None, None)
        case Cells():
            for i, row in enumerate(mark.values):
                for j, value in enumerate(row):
                    yield panel.x.names[j], panel.y.names[i], float(value), float(value)


def _category(names: tuple[str, ...], y: float) -> float | str:
    return names[round(y)] if names and 0 <= round(y) < len(names) else y


def _at(values: Array | None, index: int) -> float | None:
    return None if values is None else float(values[index])
