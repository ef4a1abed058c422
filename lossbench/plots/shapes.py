"""What a loss looks like: its value and the size of its gradient over the true-class probability."""

import numpy as np
import torch

from lossbench import losses
from lossbench.charts import Axis, Figure, Line, Panel
from lossbench.charts.figure import array

__all__ = ["draw_shapes"]

_POINTS = 199


def draw_shapes(texts: tuple[str, ...], *, classes: int) -> Figure:
    """Value and |dL/dq_y| over p_y of several losses, the wrong classes equally probable.

    Args:
        texts: the losses; scheduled knobs are taken as in the last epoch, learned ones at their start.
        classes: number of classes C.
    """
    p = np.linspace(0.0, 1.0, _POINTS + 2)[1:-1]
    true = torch.from_numpy(p)
    rest = ((1 - true) / (classes - 1)).log()
    target = torch.zeros(len(p), dtype=torch.int64)
    values: list[Line] = []
    pulls: list[Line] = []
    for series, text in enumerate(texts):
        logits = torch.cat([true.log()[:, None], rest[:, None].expand(-1, classes - 1)], dim=1).requires_grad_()
        value = losses.instance(text, classes=classes)(logits, target)
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        values.append(Line(series=series, x=p, y=array(value.detach().numpy())))
        pulls.append(Line(series=series, x=p, y=array(gradient[:, 0].abs().numpy())))
    x = Axis(title="p_y", limits=(0.0, 1.0))
    return Figure(
        title=f"value and gradient over p_y: {', '.join(texts)}",
        panels=(
            Panel(x=x, y=Axis(title="loss"), marks=tuple(values)),
            Panel(x=x, y=Axis(title="|dL/dq_y|"), marks=tuple(pulls)),
        ),
        series=texts,
        caption=f"{classes} classes, the wrong ones equally probable; exact derivatives in float64",
    )
