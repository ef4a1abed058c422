"""What a chart is, before anybody draws it: panels of marks on two axes, all plain values.

Every kind of chart becomes a `Figure`; a terminal, a paper and a csv file show the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Array",
    "Axis",
    "Bars",
    "Box",
    "Cells",
    "Figure",
    "Line",
    "Mark",
    "Panel",
    "Points",
    "Rule",
    "Span",
    "array",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis: what it shows, in which unit, and how numbers map to places."""

    title: str
    unit: str = ""
    log: bool = False
    whole: bool = False
    """Ticks at whole numbers only."""
    names: tuple[str, ...] = ()
    """Categories at 0, 1, 2 ... instead of numbers; on a y axis the first is at the top."""
    headings: tuple[int, ...] = ()
    """Places among the categories that hold nothing but stand as headings above those that follow."""
    closing: int = 0
    """How many of the last categories sum up the others: a picture too small for all of them keeps these."""
    limits: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        return f"{self.title} [{self.unit}]" if self.unit else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve, with the band between `low` and `high` when there is one. NaN breaks it."""

    series: int | None
    """Index into the figure's series; None draws a neutral thin line."""
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    thin: bool = False
    """One of several curves of its series: drawn without markers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Single values, with an interval along `along` when there is one."""

    series: int
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    along: Literal["x", "y"] = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Five numbers of a sample lying along x at height `y`: smallest, quartiles, largest."""

    series: int
    y: float
    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Columns standing on the x axis: bar i reaches from `edges[i]` to `edges[i + 1]`."""

    series: int
    edges: Array
    heights: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A horizontal bar from `low` to `high` at height `y`."""

    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A reference line across the panel at one value of an axis."""

    axis: Literal["x", "y"]
    at: float
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A grid of values: `values[i, j]` belongs to the i-th name of the y axis and the j-th of the x axis."""

    values: Array
    digits: int = 2
    higher_is_better: bool = True
    mark_best: bool = True


Mark = Line | Points | Box | Bars | Span | Rule | Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes and what is drawn on it."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A whole chart. The title says what is compared on what, the caption what n and the interval are."""

    title: str
    panels: tuple[Panel, ...]
    series: tuple[str, ...] = ()
    """Names in the order of their markers and colours; an empty name stays out of the legend."""
    caption: str = ""
    together: int = 1
    """How many neighbouring panels show the same thing from several sides, and are not to be torn apart."""


def array(values: ArrayLike | Sequence[float | None]) -> Array:
    """The values as float64, None as NaN and infinities as NaN: neither has a place on an axis."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)
