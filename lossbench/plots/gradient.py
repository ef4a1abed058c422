"""How hard a loss pulls on the true class, as a function of the probability it already has.

The only chart computed from the losses themselves instead of from stored runs, and the only one that needs torch.
"""

import numpy as np
import torch

from lossbench import losses
from lossbench.charts import Axis, Figure, Line, Panel
from lossbench.charts.figure import Array, array
from lossbench.losses import Scheduled
from lossbench.plots.request import Request
from lossbench.schedules import Clock

__all__ = ["draw_gradient", "pull"]

_DEFAULT = ("ce", "adaptive", "expectation")
_POINTS = 199
_EPOCHS = 100


def draw_gradient(request: Request) -> Figure:
    """Gradient at the true logit, and weight relative to cross entropy, over p_y: Figure 1 of arXiv 2109.05635."""
    p = np.linspace(0.0, 1.0, _POINTS + 2)[1:-1]
    names: list[str] = []
    steepness: list[Line] = []
    weights: list[Line] = []
    for text in request.selection.losses or _DEFAULT:
        _, sources = losses.sources(losses.resolve(text))
        moments = {"": Clock(epoch=0, epochs=_EPOCHS)}
        if any(isinstance(source, Scheduled) for source in sources.values()):
            moments = {" at first": moments[""], " at last": Clock(epoch=_EPOCHS - 1, epochs=_EPOCHS)}
        for moment, clock in moments.items():
            gradient = pull(text, p, clock=clock, classes=request.classes)
            steepness.append(Line(series=len(names), x=p, y=gradient))
            weights.append(Line(series=len(names), x=p, y=gradient / (1 - p)))
            names.append(text + moment)
    x = Axis(title="p_y", limits=(0.0, 1.0))
    return Figure(
        title=f"pull on the true logit over its probability p_y: {', '.join(names)}",
        panels=(
            Panel(x=x, y=Axis(title="|dL/dq_y|", log=request.log_y), marks=tuple(steepness)),
            Panel(x=x, y=Axis(title="weight |dL/dq_y| / (1 - p_y), 1 is ce", log=request.log_y), marks=tuple(weights)),
        ),
        series=tuple(names),
        caption=f"{request.classes} classes, the wrong ones equally probable; exact derivatives in float64",
    )


def pull(text: str, p: Array, *, clock: Clock, classes: int) -> Array:
    """Size of the derivative of a loss with respect to the true logit q_y, at each probability p_y.

    Args:
        text: the loss.
        p: probabilities of the true class [N], strictly between 0 and 1.
        clock: the epoch, for scheduled knobs.
        classes: number of classes C; the wrong ones share 1 - p_y equally.
    Returns:
        |dL/dq_y| [N], in nats per unit of logit.
    """
    true = torch.from_numpy(p)
    rest = ((1 - true) / (classes - 1)).log()
    logits = torch.cat([true.log()[:, None], rest[:, None].expand(-1, classes - 1)], dim=1).requires_grad_()
    target = torch.zeros(len(true), dtype=torch.int64)
    function = losses.build(text, clock=clock, target=target, classes=classes)
    (gradient,) = torch.autograd.grad(function(logits, target).sum(), logits)
    return array(gradient[:, 0].abs().numpy())
