"""What a user asks of a chart."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Literal

from lossbench.errors import UsageError
from lossbench.measures import Measure
from lossbench.store import Selection

__all__ = ["Band", "Request", "difference_unit", "refuse_unused"]

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
    tuned: tuple[str, ...] = ()
    """Fields at whose best value on validation each loss is compared."""
    allow: tuple[str, ...] = ()
    """Fields in which compared runs may differ."""
    band: Band = "ci"
    smooth: int = 1
    """Epochs a running mean reaches back."""
    first_epoch: int = 1
    """Earlier epochs are left out of the picture."""
    log_x: bool = False
    log_y: bool = False
    fields: tuple[str, ...] = ()
    """Fields of the preset, or `loss.KNOB`, along which a sweep is drawn."""
    classes: int = 10
    """Number of classes that losses are drawn for."""


_OVER_EPOCHS = ("curves", "diff", "knobs", "throughput")
_FINAL = ("box", "strip", "sweep")
_COMPARED = ("forest", "cd", "profile", "ranks")
_PREDICTED = ("calibration", "confidence")
_USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "metrics": ("--metric", ("curves", "diff", *_FINAL, *_COMPARED)),
    "splits": ("--split", ("curves", "diff", *_FINAL, *_PREDICTED)),
    "at": ("--at", (*_FINAL, *_COMPARED)),
    "tuned": ("--tuned", _COMPARED),
    "allow": ("--allow", _COMPARED),
    "band": ("--band", (*_OVER_EPOCHS, "sweep")),
    "smooth": ("--smooth", _OVER_EPOCHS),
    "first_epoch": ("--from", _OVER_EPOCHS),
    "log_x": ("--log x", (*_OVER_EPOCHS, "box", "strip", "sweep", "profile")),
    "log_y": ("--log y", ("curves", "knobs", "throughput", "sweep", "gradient")),
    "fields": ("--field", ("sweep",)),
    "classes": ("--classes", ("gradient",)),
}
"""By field of a request, its option and the kinds of charts that go by it."""
_ONE_METRIC = ("sweep", *_COMPARED)


def refuse_unused(kind: str, request: Request) -> None:
    """Refuse what a kind of chart would leave aside, rather than draw something else than was asked.

    Raises:
        UsageError: an option that does nothing for this kind of chart.
    """
    for field in fields(Request):
        option, kinds = _USERS.get(field.name, ("", (kind,)))
        if kind not in kinds and getattr(request, field.name) != field.default:
            raise UsageError(f"{option} does nothing for {kind}; it is for {_and(kinds)}")
    if kind in _ONE_METRIC and len(request.metrics) > 1:
        raise UsageError(f"{kind} draws one metric, got {_and(request.metrics)}")
    if kind == "gradient" and request.selection != Selection(losses=request.selection.losses):
        raise UsageError("gradient draws losses, not stored runs; name losses with --loss")


def difference_unit(measure: Measure) -> str:
    """Unit of a difference of two values: points where the values are percent."""
    return "points" if measure.unit == "fraction" else measure.shown_unit


def _and(words: Collection[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
