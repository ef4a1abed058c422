"""Losses that flatten what the model says about the wrong classes."""

import math

from torch import Tensor

from lossbench.knobs import ANY, Fixed, Words
from lossbench.losses._numerics import Number, entropy, log_probabilities
from lossbench.losses._registry import Loss, loss, register
from lossbench.losses.cross_entropy import cross_entropy

__all__ = ["cce", "complement_entropy"]


def complement_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Entropy [N] of the softmax over the wrong classes; it does not depend on the true logit."""
    index = target.unsqueeze(-1)
    log_r = log_probabilities(logits.scatter(-1, index, -math.inf))
    # 0 stands for the true class: its term exp(0) * 0 vanishes, where exp(-inf) * -inf would not.
    return entropy(log_r.scatter(-1, index, 0.0))


def _first(logits: Tensor, target: Tensor, *, normalize: str) -> Tensor:
    return cross_entropy(logits, target)


def _second(logits: Tensor, target: Tensor, *, normalize: str) -> Tensor:
    classes = logits.shape[-1]
    return -complement_entropy(logits, target) / {"none": 1, "K-1": classes - 1, "K": classes}[normalize]


register(
    Loss(
        name="cot",
        steps=(_first, _second),
        knobs={"normalize": Fixed("K-1", Words(("none", "K-1", "K")))},
        cites=("arXiv 1903.01182",),
        fewest_classes=3,
        doc="""Complement objective training: cross entropy, then a second update that flattens the wrong classes.

    step 1:  L = -log p_y
    step 2:  L = sum_{j != y} r_j log r_j / (C - 1),   r = softmax over the wrong classes

Args:
    normalize: what the second step is divided by: `K-1` as in the paper, `K` as in its code, or `none`.
Returns:
    Loss per sample [N] of each step. Each step has its own forward pass, optimiser and momentum, so weight decay acts
    twice per batch and batch statistics are updated twice.
Identities: the second step is 0 with two classes, and has no gradient in the true logit.
Caveats: twice the work per batch; published figures are the best test error of a session. arXiv 2109.05635 prints the
    second step without its sign and divisor; minimising that would do the opposite.
""",
    )
)


@loss("cce", cites=("arXiv 2009.02189",), knobs={"gamma": Fixed(-1.0, ANY)})
def cce(logits: Tensor, target: Tensor, *, gamma: Number) -> Tensor:
    """Complement cross entropy: cross entropy and complement entropy in one step.

        L = -log p_y + gamma H_c / (C - 1),   H_c the entropy of the softmax over the wrong classes

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        gamma: negative rewards flat wrong classes, -1 as published; public code disagrees about the sign.
    Returns:
        Loss per sample [N], in nats.
    Identities: ce at gamma 0 and with two classes.
    """
    return cross_entropy(logits, target) + gamma * complement_entropy(logits, target) / (logits.shape[-1] - 1)
