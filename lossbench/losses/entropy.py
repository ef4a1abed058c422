"""Losses that add an entropy of the prediction, or cross entropy the other way round."""

import math

from torch import Tensor

from lossbench.knobs import ANY, Fixed, above, at_least, within
from lossbench.losses._margin import TrueClass
from lossbench.losses._numerics import Number, column, entropy, log, log_probabilities, one_hot, pick
from lossbench.losses._registry import loss, true_class

__all__ = ["confidence_penalty", "jeffreys", "min_ent", "mix_ent"]


@loss(
    "min-ent",
    cites=("arXiv 2501.13709",),
    ill_posed=("beta1", "beta2", "base1", "base2"),
    knobs={
        "beta1": Fixed(1.0, at_least(0)),
        "beta2": Fixed(0.1, ANY),
        "base1": Fixed(math.e, above(1)),
        "base2": Fixed(math.e, above(1)),
    },
)
def min_ent(logits: Tensor, target: Tensor, *, beta1: Number, beta2: Number, base1: Number, base2: Number) -> Tensor:
    """Cross entropy plus the entropy of the prediction, each in a logarithm of its own base.

        L = beta1 (-log p_y) / ln(base1) + beta2 H(p) / ln(base2)

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        beta1, beta2: the two weights; the paper learns them and prints no default for beta2, 0.1 is our choice.
        base1, base2: bases of the two logarithms; e as in the published code.
    Returns:
        Loss per sample [N].
    Identities: confidence-penalty at beta2 = -beta; only beta / ln(base) matters, so a base is no freedom of its own.
    Caveats: rewards confident mistakes; degenerate for large beta2. Learned weights are ill-posed: the loss falls by
        shrinking them, so `free` runs away and `square` and `exp` switch the loss off. The paper says the bases are
        learned; its published code has plain numbers for them.
    """
    log_p = log_probabilities(logits)
    return -(beta1 / log(base1)) * pick(log_p, target) + (beta2 / log(base2)) * entropy(log_p)


@true_class("mix-ent")
def mix_ent(
    true: TrueClass, *, beta1: Number, beta2: Number, eps: Number, base1: Number, base2: Number
) -> tuple[Tensor, Number]:
    """Cross entropy plus cross entropy from the prediction to the label, each in a logarithm of its own base.

        L = beta1 (-log p_y) / ln(base1) - beta2 ln(eps) (1 - p_y) / ln(base2)

    Gradient weight: w(p) = beta1 / ln(base1) - beta2 ln(eps) / ln(base2) p.
    Args:
        beta1, beta2: the two weights, 1 as in the published code.
        eps: what the zeros of the one-hot label are raised to; 1e-6 makes the second weight 13.8.
        base1, base2: bases of the two logarithms; e as in the published code.
    Returns:
        Loss per sample [N].
    Identities: sce with A = ln(eps); ce-el and poly1 at matching weights.
    Caveats: eps is the knob that matters most. Learned weights are ill-posed, as for min-ent. Strongly over-confident.
    """
    straight = beta1 / log(base1)
    swapped = -(beta2 * log(eps) / log(base2))
    return true.mixed(straight, swapped)


@loss("confidence-penalty", cites=("arXiv 1701.06548",), knobs={"beta": Fixed(0.1, at_least(0))})
def confidence_penalty(logits: Tensor, target: Tensor, *, beta: Number) -> Tensor:
    """Cross entropy minus a share of the prediction's entropy, which keeps predictions from becoming sharp.

        L = -log p_y - beta H(p)

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        beta: weight of the entropy, 0.1.
    Returns:
        Loss per sample [N], in nats.
    Identities: min-ent at beta2 = -beta; ce at beta 0.
    Caveats: mildly under-confident.
    """
    log_p = log_probabilities(logits)
    return -pick(log_p, target) - beta * entropy(log_p)


@loss(
    "jeffreys",
    cites=("doi 10.1098/rspa.1946.0056",),
    knobs={"epsilon": Fixed(0.1, within(0, 1, low_open=True, high_open=True))},
)
def jeffreys(logits: Tensor, target: Tensor, *, epsilon: Number) -> Tensor:
    """Jeffreys divergence between the smoothed label and the prediction.

        L = sum_j (t_j - p_j) (log t_j - log p_j),   t = (1 - epsilon) 1_y + epsilon / C

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        epsilon: share of the label spread over all classes, above 0: without it the divergence is infinite.
    Returns:
        Loss per sample [N], in nats.
    Identities: up to a constant, label-smoothing minus H(p) plus log(1 + C (1 - epsilon) / epsilon) expectation.
    Caveats: this is the finite form of the divergence that the adaptive loss is said to approximate; the two differ.
    """
    log_p = log_probabilities(logits)
    share = column(epsilon) / logits.shape[-1]
    labels = (1 - column(epsilon)) * one_hot(target, logits) + share
    return ((labels - log_p.exp()) * (labels.log() - log_p)).sum(-1)
