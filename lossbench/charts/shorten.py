"""A panel with fewer categories, for a screen too low for all of them."""

from dataclasses import replace

import numpy as np

from lossbench.charts.figure import Array, Axis, Box, Cells, Line, Mark, Panel, Points, Rule, Span

__all__ = ["fewest", "shortened"]


def fewest(axis: Axis) -> int:
    """The smallest number of categories that still makes a picture: the closing ones and one more with its heading."""
    return min(len(axis.names), axis.closing + (2 if axis.headings else 1))


def shortened(panel: Panel, count: int) -> Panel:
    """The panel with at most `count` of its categories: the first ones, and those that sum up the others."""
    names, closing = panel.y.names, panel.y.closing
    first = list(range(count - closing))
    if first and first[-1] in panel.y.headings:
        first.pop()
    kept = [*first, *range(len(names) - closing, len(names))]
    y = replace(
        panel.y,
        names=tuple(names[place] for place in kept),
        headings=tuple(kept.index(place) for place in panel.y.headings if place in kept),
    )
    return replace(panel, y=y, marks=tuple(_moved(mark, kept) for mark in panel.marks if _has_part(mark, kept)))


def _has_part(mark: Mark, kept: list[int]) -> bool:
    match mark:
        case Box() | Span():
            return round(mark.y) in kept
        case Points() | Line():
            return bool(np.isin(np.round(mark.y), kept).any())
        case _:
            return True


def _moved(mark: Mark, kept: list[int]) -> Mark:
    """A mark on the places that its categories now have."""
    match mark:
        case Box() | Span():
            return replace(mark, y=float(kept.index(round(mark.y))))
        case Points() | Line():
            held = np.isin(np.round(mark.y), kept)

            def part(values: Array | None) -> Array | None:
                return None if values is None else values[held]

            y = np.array([float(kept.index(round(place))) for place in mark.y[held]])
            return replace(mark, x=mark.x[held], y=y, low=part(mark.low), high=part(mark.high))
        case Cells():
            return replace(mark, values=mark.values[kept])
        case Rule():
            return mark
        case _:
            raise TypeError(f"{type(mark).__name__} does not lie on categories")
