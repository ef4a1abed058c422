"""What a user asks of a chart."""

from dataclasses import dataclass
from typing import Literal

from lossbench.measures import Measure
from lossbench.store import Selection

__all__ = ["Band", "Request", "difference_unit"]

Band = Literal["ci", "sd", "minmax", "seeds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which runs, which numbers of them, and how to show their spread."""

    selection: Selection
    baseline: str = "ce"
    metrics: tuple[str, ...] = ()
    """`name`, or `split/name`; none takes what the preset declares."""
    splits: tuple[str, ...] = ("test",)
    at: str | None = None
    band: Band = "ci"
    smooth: int = 1
    """Epochs a running mean reaches back."""
    first_epoch: int = 1
    """Earlier epochs are left out of the picture."""
    log_x: bool = False
    log_y: bool = False
    fields: tuple[str, ...] = ()
    """Fields of the preset, or `loss.KNOB`, along which a sweep is drawn."""


def difference_unit(measure: Measure) -> str:
    """Unit of a difference of two values: points where the values are percent."""
    return "points" if measure.unit == "fraction" else measure.shown_unit
