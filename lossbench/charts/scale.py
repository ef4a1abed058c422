"""From numbers to places: the limits of an axis, its ticks and their labels."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lossbench.charts.figure import Array, Axis, Bars, Box, Cells, Line, Panel, Points, Rule, Span

__all__ = ["limits", "place", "places", "tick_labels", "ticks"]

_MARGIN = 0.03


def place(axis: Axis, values: Array) -> Array:
    """Where values lie on an axis that is drawn evenly: their logarithm on a log axis, where only positive ones lie."""
    if not axis.log:
        return values
    return np.log10(np.where(values > 0, values, np.nan))


def places(axis: Axis, value: float) -> float:
    """`place` of one number."""
    return float(place(axis, np.array([value]))[0])


def limits(panel: Panel, which: str) -> tuple[float, float]:
    """The first and last place of a panel's axis, so that every mark lies between them; (0, 1) where nothing does."""
    axis = panel.x if which == "x" else panel.y
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    if axis.limits is not None:
        return places(axis, axis.limits[0]), places(axis, axis.limits[1])
    values = np.concatenate([np.ravel(each) for each in _extent(panel, which)] or [np.array([])])
    spots = place(axis, values)
    spots = spots[np.isfinite(spots)]
    if not len(spots):
        return 0.0, 1.0
    low, high = float(spots.min()), float(spots.max())
    if low == high:
        margin = 0.5 if axis.log or axis.whole or low == 0 else abs(low) * 0.05
        return low - margin, high + margin
    # Curves use the whole width; everything else keeps off the frame, but for bars, which stand on it.
    curves = which == "x" and all(isinstance(mark, Line | Rule | Bars) for mark in panel.marks)
    margin = 0.0 if curves else _MARGIN * (high - low)
    standing = which == "y" and any(isinstance(mark, Bars) for mark in panel.marks)
    return (low if standing else low - margin), high + margin


def ticks(axis: Axis, low: float, high: float, most: int) -> list[tuple[float, str]]:
    """At most `most` round values between two places, with labels of one precision; (place, label) in order."""
    if axis.names:
        return [(float(index), name) for index, name in enumerate(axis.names)]
    if axis.log:
        decades = _decades(low, high, most)
        labels = tick_labels([10.0**place for place in decades], 0)
        return list(zip(map(float, decades), labels, strict=True)) or _round(low, high, most, log=True)
    return _round(low, high, most, whole=axis.whole)


def tick_labels(values: Sequence[float], digits: int) -> list[str]:
    """Ticks as texts of one form: plain digits, or powers of ten where one reaches a million or is below 0.0001."""
    sizes = [abs(value) for value in values if value]
    if sizes and (max(sizes) >= 1e6 or min(sizes) < 1e-4):
        texts = [f"{value:.{_significant(values)}e}" if value else "0" for value in values]
        return [text.replace("e+0", "e").replace("e-0", "e-") for text in texts]
    texts = [_plain(value, digits) for value in values]
    return [text.removeprefix("-") if float(text) == 0 else text for text in texts]


def _significant(values: Sequence[float]) -> int:
    """How many digits after the first tell the values apart."""
    return next((n for n in range(6) if len({f"{value:.{n}e}" for value in values}) == len(set(values))), 6)


def _plain(value: float, digits: int) -> str:
    size = abs(value)
    return f"{value:.{digits}f}" if digits or size >= 1 or not size else f"{value:.10f}".rstrip("0")


def _round(low: float, high: float, most: int, *, log: bool = False, whole: bool = False) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten; on a log axis of less than a decade, such values at their places."""
    first, last = (10.0**low, 10.0**high) if log else (low, high)
    power = 10.0 ** math.floor(math.log10((last - first) / most))
    steps = [factor * power for factor in (1, 2, 5, 10, 20) if not whole or factor * power >= 1] or [1.0]
    # The coarsest step that still gives two ticks is better than one tick, hence the last resort.
    step = next((step for step in steps if len(_multiples(first, last, step)) <= most), steps[-1])
    if len(_multiples(first, last, step)) < 2 and step != steps[0]:
        step = steps[steps.index(step) - 1]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    values = [value for value in _multiples(first, last, step) if not log or value > 0]
    spots = [math.log10(value) for value in values] if log else values
    return list(zip(spots, tick_labels(values, digits), strict=True))


def _multiples(first: float, last: float, step: float) -> list[float]:
    span = range(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)
    return [number * step for number in span]


def _decades(low: float, high: float, most: int) -> Sequence[int]:
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    return range(first, last + 1, max(1, math.ceil((last - first + 1) / most))) if last > first else ()


def _extent(panel: Panel, which: str) -> Iterator[Array]:
    """Every number of the panel that its axis must reach."""
    horizontal = which == "x"
    for mark in panel.marks:
        match mark:
            case Line():
                yield mark.x if horizontal else mark.y
                yield from () if horizontal else (each for each in (mark.low, mark.high) if each is not None)
            case Points():
                yield mark.x if horizontal else mark.y
                yield from (each for each in (mark.low, mark.high) if each is not None and mark.along == which)
            case Box():
                yield np.array([mark.low, mark.high]) if horizontal else np.array([mark.y])
            case Span():
                yield np.array([mark.low, mark.high]) if horizontal else np.array([mark.y])
            case Bars():
                yield mark.edges if horizontal else np.append(mark.heights, 0.0)
            case Rule():
                yield np.array([mark.at] if mark.axis == which else [])
            case Cells():
                yield np.array([])
