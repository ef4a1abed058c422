"""Losses with one sigmoid per class on single-label data."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbench.knobs import Fixed, Words, within
from lossbench.losses._numerics import Number, column, one_hot
from lossbench.losses._registry import loss

__all__ = ["bce"]


@loss(
    "bce",
    cites=("arXiv 2110.00476",),
    family="scores",
    link="sigmoid",
    knobs={
        "smoothing": Fixed(0.0, within(0, 1, high_open=True)),
        "class_reduction": Fixed("sum", Words(("sum", "mean"))),
    },
)
def bce(logits: Tensor, target: Tensor, *, smoothing: Number, class_reduction: str) -> Tensor:
    """Binary cross entropy of every class against the rest.

        L = sum_j -t_j log s_j - (1 - t_j) log(1 - s_j),   s = sigmoid(q), t = (1 - smoothing) [j = y] + smoothing / C

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        smoothing: share of each label spread over all classes; 0.1 in timm's recipes.
        class_reduction: `sum` over the classes, or `mean` as timm does.
    Returns:
        Loss per sample [N], in nats.
    Caveats: with `mean` the gradients are C times smaller, so a learning rate tuned for cross entropy barely trains.
        Probabilities come from the sigmoid, so softmax NLL of such a model is not its own likelihood.
    """
    share = column(smoothing)
    labels = (1 - share) * one_hot(target, logits) + share / logits.shape[-1]
    terms = -(labels * logsigmoid(logits) + (1 - labels) * logsigmoid(-logits))
    return terms.sum(-1) if class_reduction == "sum" else terms.mean(-1)
