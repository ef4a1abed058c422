"""The bi-tempered logistic loss: a bounded logarithm over a heavy-tailed softmax."""

import torch
from torch import Tensor

from lossbench.knobs import Fixed, at_least, within
from lossbench.losses._numerics import Number, column, expm1, expm1_over, pick
from lossbench.losses._registry import loss

__all__ = ["bi_tempered"]

_NEWTON_STEPS = 30
"""Steps to the normaliser; it is convex and approached from one side, and 20 reach double precision at 1e5 classes."""


@loss(
    "bi-tempered",
    cites=("arXiv 1906.03361",),
    link="none",
    knobs={"t1": Fixed(0.8, within(0, 1)), "t2": Fixed(1.2, at_least(1))},
)
def bi_tempered(logits: Tensor, target: Tensor, *, t1: Number, t2: Number) -> Tensor:
    """Bregman divergence of the tempered entropy between the label and a tempered softmax.

        L = -log_t1 p_y - (1 - sum_j p_j^(2 - t1)) / (2 - t1)
        p_j = exp_t2(q_j - lambda) with lambda so that sum_j p_j = 1
        log_t x = (x^(1 - t) - 1) / (1 - t),   exp_t its inverse

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        t1: at most 1; below it bounds the loss of an outlier. 0.8.
        t2: at least 1; above it gives the softmax a heavy tail. 1.2.
    Returns:
        Loss per sample [N].
    Identities: ce at t1 = t2 = 1.
    Caveats: predicted probabilities are the tempered ones, not the softmax.
    Numerics: computed in float64. The normaliser comes from Newton's method, and one more step that is differentiated
        gives its exact derivative.
    """
    scores = logits.double()
    t1, t2 = (each.double() if isinstance(each, Tensor) else each for each in (t1, t2))
    log_p = _tempered_log_softmax(scores, column(t2))
    bounded = -expm1_over(1 - t1, pick(log_p, target))
    weights = (2 - column(t1)) * log_p
    # 1 - sum_j p_j^(2 - t1), the true class apart so that nothing cancels as p_y tends to 1.
    others = weights.exp().scatter(-1, target.unsqueeze(-1), 0.0).sum(-1)
    correction = (-expm1(pick(weights, target)) - others) / (2 - t1)
    return (bounded - correction).to(logits.dtype)


def _tempered_log_softmax(scores: Tensor, t2: Number) -> Tensor:
    """log p_j [N, C] of the tempered softmax."""
    top, index = scores.max(-1, keepdim=True)
    gaps = (top - scores).scatter(-1, index, 0.0)
    rate = t2 - 1

    def log_p(shift: Tensor) -> Tensor:
        return -_log1p_over(rate, shift + gaps)

    def excess(shift: Tensor) -> tuple[Tensor, Tensor]:
        """sum_j p_j - 1 and its derivative in the shift."""
        logs = log_p(shift)
        others = logs.exp().scatter(-1, index, 0.0).sum(-1, keepdim=True)
        return torch.expm1(logs.gather(-1, index)) + others, -(t2 * logs).exp().sum(-1, keepdim=True)

    with torch.no_grad():
        shift = torch.zeros_like(top)
        for _ in range(_NEWTON_STEPS):
            value, slope = excess(shift)
            shift = shift - value / slope
        _, slope = excess(shift)
    value, _ = excess(shift)
    return log_p(shift - value / slope)


def _log1p_over(rate: Number, values: Tensor) -> Tensor:
    """log1p(rate * values) / rate, which at rate 0 is `values`."""
    if isinstance(rate, Tensor):
        zero = rate == 0
        return torch.where(zero, values, torch.log1p(rate * values) / torch.where(zero, 1.0, rate))
    return torch.log1p(rate * values) / rate if rate else values
