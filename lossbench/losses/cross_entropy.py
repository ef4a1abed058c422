"""Cross entropy, and cross entropy against softened labels."""

from torch import Tensor

from lossbench.knobs import Fixed, Words, within
from lossbench.losses._margin import TrueClass
from lossbench.losses._numerics import Number, log_probabilities, pick
from lossbench.losses._registry import loss, true_class

__all__ = ["cross_entropy", "label_smoothing"]


@true_class("ce", mixture=lambda: (1.0, 0.0))
def cross_entropy(true: TrueClass) -> tuple[Tensor, Number]:
    """Cross entropy: the negative log-likelihood of the true class.

        L = -log p_y

    Gradient weight: w(p) = 1 at every p.
    Returns:
        Loss per sample [N], in nats.
    Identities: focal at gamma 0, tce at a = 0, label-smoothing at epsilon 0, taylor-ce as t grows.
    Caveats: hard and mislabelled samples keep their full weight for ever; tends to over-confidence.
    Numerics: log1p((1 - p_y) / p_y), so it does not round to 0 once p_y is within rounding of 1.
    """
    return true.ce, 1.0


@loss(
    "label-smoothing",
    aliases=("ls",),
    cites=("arXiv 1512.00567",),
    knobs={
        "epsilon": Fixed(0.1, within(0, 1, high_open=True)),
        "spread": Fixed("all", Words(("all", "others"))),
    },
)
def label_smoothing(logits: Tensor, target: Tensor, *, epsilon: Number, spread: str) -> Tensor:
    """Cross entropy against a label that leaves a share epsilon to the other classes.

        L = -(1 - epsilon) log p_y - epsilon mean_j log p_j

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        epsilon: share taken from the true class, 0.1 as published.
        spread: `all` spreads it over all C classes, the true one included, as torch does; `others` over the C - 1
            others.
    Returns:
        Loss per sample [N], in nats; never 0 for epsilon > 0.
    Identities: ce at epsilon 0; spread=others at epsilon (C - 1) / C times as large is spread=all; asl at gamma_pos =
        gamma_neg = 0.
    Caveats: the two conventions share one name in public code and differ by C / (C - 1) in epsilon.
    """
    log_p = log_probabilities(logits)
    log_p_true = pick(log_p, target)
    spread_over_others = spread == "others"
    rest = (log_p.sum(-1) - spread_over_others * log_p_true) / (logits.shape[-1] - spread_over_others)
    return -(1 - epsilon) * log_p_true - epsilon * rest
