"""What a loss looks like over the probability that the true class already has: value, pull and weight.

The only chart computed from the losses themselves instead of from stored runs, and the only one that needs torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lossbench import losses
from lossbench.charts import Axis, Figure, Line, Panel
from lossbench.charts.figure import Array, array
from lossbench.losses import Scheduled
from lossbench.schedules import Clock

__all__ = ["draw_losses", "over_probability"]

_DEFAULT = ("ce", "adaptive", "expectation")
_POINTS = 199
_FIRST = Clock(epoch=0, epochs=100)


def draw_losses(texts: Sequence[str], *, classes: int, log_y: bool = False) -> Figure:
    """Value, |dL/dq_y| and weight relative to cross entropy over p_y; the middle one is Figure 1 of arXiv 2109.05635.

    Args:
        texts: the losses; one with a scheduled knob is drawn as in the first and in the last epoch.
        classes: number of classes C.
        log_y: logarithmic axes for gradient and weight.
    """
    p = np.linspace(0.0, 1.0, _POINTS + 2)[1:-1]
    names: list[str] = []
    marks: tuple[list[Line], ...] = ([], [], [])
    for text in texts or _DEFAULT:
        for moment, knobs in _moments(text):
            value, pull = over_probability(text, p, classes=classes, knobs=knobs)
            for lines, y in zip(marks, (value, pull, pull / (1 - p)), strict=True):
                lines.append(Line(series=len(names), x=p, y=y))
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


def over_probability(
    text: str, p: Array, *, classes: int, knobs: Mapping[str, Any] | None = None
) -> tuple[Array, Array]:
    """A loss and the size of its derivative with respect to the true logit q_y, at each probability p_y.

    Args:
        text: the loss; scheduled knobs are taken as in the last epoch, learned ones at their start.
        p: probabilities of the true class [N], strictly between 0 and 1.
        classes: number of classes C; the wrong ones share 1 - p_y equally.
        knobs: values that knobs are to have instead.
    Returns:
        L [N], in nats, and |dL/dq_y| [N], in nats per unit of logit.
    """
    true = torch.from_numpy(p)
    rest = ((1 - true) / (classes - 1)).log()
    logits = torch.cat([true.log()[:, None], rest[:, None].expand(-1, classes - 1)], dim=1).requires_grad_()
    target = torch.zeros(len(true), dtype=torch.int64)
    value = losses.instance(text, classes=classes, knobs=knobs)(logits, target)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    return array(value.detach().numpy()), array(gradient[:, 0].abs().numpy())


def _moments(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """How a loss is called in the epochs worth drawing, and the values its scheduled knobs have there."""
    _, sources = losses.sources(losses.resolve(text))
    first = {knob: losses.value_at(source, _FIRST) for knob, source in sources.items() if isinstance(source, Scheduled)}
    if first:
        yield " at first", first
        yield " at last", {}
    else:
        yield "", {}
