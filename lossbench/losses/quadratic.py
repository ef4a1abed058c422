"""Losses that look at other probabilities than the true class's without being an entropy."""

import math

import torch
from torch import Tensor

from lossbench.losses._numerics import log_probabilities, pick
from lossbench.losses._registry import loss

__all__ = ["brier", "mpce"]


@loss("brier", cites=("Brier, Monthly Weather Review 1950",))
def brier(logits: Tensor, target: Tensor) -> Tensor:
    """Brier score: squared distance of the prediction to the one-hot label.

        L = sum_j (p_j - [j = y])^2

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
    Returns:
        Loss per sample [N], in [0, 2].
    Identities: 2 (1 - p_y)^2 with two classes.
    Caveats: proper, but its gradient vanishes on confident mistakes.
    Numerics: 1 - p_y is the sum of the others, so confident samples keep their precision.
    """
    log_p = log_probabilities(logits)
    others = log_p.scatter(-1, target.unsqueeze(-1), -math.inf).exp()
    return others.square().sum(-1) + others.sum(-1).square()


@loss("mpce", cites=("doi 10.1109/ACCESS.2019.2946264",))
def mpce(logits: Tensor, target: Tensor) -> Tensor:
    """Maximum-probability cross entropy: cross entropy times how far the true class is behind the leader.

        L = -(max_j p_j - p_y) log p_y

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
    Returns:
        Loss per sample [N], in nats.
    Caveats: exactly 0, and without gradient, wherever the true class leads; with many classes its gradient at
        initialisation is a hundredth of cross entropy's or less. At a tie the true class leads.
    """
    log_p = log_probabilities(logits)
    log_p_true = pick(log_p, target)
    top, index = log_p.max(-1)
    leader = torch.where(top > log_p_true, index, target)
    return (pick(log_p, leader).exp() - log_p_true.exp()) * -log_p_true
