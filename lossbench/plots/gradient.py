"""What a loss looks like over the probability that the true class already has: value, pull and weight.

The only chart of the losses themselves instead of stored runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lossbench import formulas
from lossbench.charts import Axis, Figure, Line, Panel
from lossbench.charts.figure import array
from lossbench.knobs import Scheduled, Source, value_at
from lossbench.schedules import Clock

__all__ = ["Derivatives", "draw_losses"]

Derivatives = Callable[[str], tuple[Mapping[str, Source], formulas.Curve]]
"""The knobs of any loss, and its value and weight over p_y from exact derivatives, which takes torch."""

_DEFAULT = ("ce", "adaptive", "expectation")
_POINTS = 199
_FIRST = Clock(epoch=0, epochs=100)


def draw_losses(texts: Sequence[str], *, classes: int, derivatives: Derivatives, log_y: bool = False) -> Figure:
    """Value, |dL/dq_y| and weight relative to cross entropy over p_y; the middle one is Figure 1 of arXiv 2109.05635.

    Args:
        texts: the losses; one with a scheduled knob is drawn as in the first and in the last epoch.
        classes: number of classes C.
        derivatives: asked for the losses without a formula in p_y alone.
        log_y: logarithmic axes for gradient and weight.
    """
    p = np.linspace(0.0, 1.0, _POINTS + 2)[1:-1]
    names: list[str] = []
    marks: tuple[list[Line], ...] = ([], [], [])
    for text in texts or _DEFAULT:
        sources, curve = formulas.over_probability(text) or derivatives(text)
        for moment, knobs in _moments(sources):
            value, weight = curve(p, **knobs)
            for lines, y in zip(marks, (value, np.abs(weight) * (1 - p), np.abs(weight)), strict=True):
                lines.append(Line(series=len(names), x=p, y=array(y)))
            names.append(text + moment)
    x = Axis(title="p_y", limits=(0.0, 1.0))
    axes = (
        Axis(title="loss", unit="nats"),
        Axis(title="|dL/dq_y|", log=log_y),
        Axis(title="weight: |dL/dq_y| / (1 - p_y)", log=log_y),
    )
    return Figure(
        title=f"value, gradient and weight over p_y: {', '.join(names)}",
        panels=tuple(Panel(x=x, y=y, marks=tuple(lines)) for y, lines in zip(axes, marks, strict=True)),
        series=tuple(names),
        caption=f"{classes} classes, the wrong ones equally probable; ce has weight 1; exact derivatives in float64",
    )


def _moments(sources: Mapping[str, Source]) -> Iterator[tuple[str, dict[str, Any]]]:
    """How a loss is called in the epochs worth drawing, and the values its scheduled knobs have there."""
    first = {knob: value_at(source, _FIRST) for knob, source in sources.items() if isinstance(source, Scheduled)}
    if first:
        yield " at first", first
        yield " at last", {}
    else:
        yield "", {}
