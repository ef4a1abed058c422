"""Pieces shared by the losses that look at more than the true-class probability.

Everything keeps its relative precision where one class takes all the mass: the largest log-probability is a log1p
over the others, and gradients never subtract a probability from 1.
"""

import math
from typing import Any

import torch
from torch import Tensor

from lossbench.losses._knobs import Number

__all__ = ["column", "entropy", "expm1_over", "log", "log_not_p", "log_probabilities", "one_hot", "pick", "power"]


def column(knob: Number) -> Number:
    """A knob that broadcasts to [N] as one that broadcasts to [N, C]."""
    return knob.unsqueeze(-1) if isinstance(knob, Tensor) else knob


def log(knob: Number) -> Number:
    """Natural logarithm of a knob, -inf at 0."""
    if isinstance(knob, Tensor):
        return knob.log()
    return math.log(knob) if knob else -math.inf


def exp(knob: Number) -> Number:
    """Exponential of a knob."""
    return knob.exp() if isinstance(knob, Tensor) else math.exp(knob)


def power(base: Tensor, exponent: Number) -> Tensor:
    """base ** exponent for base >= 0, with 0 ** 0 = 1.

    Written out, because torch's own `pow` rounds differently at the end of a tensor than inside it, and a run's
    numbers must not depend on who is trained beside it.
    """
    result: Tensor = torch.special.xlogy(exponent, base).exp()
    return result


def expm1_over(rate: Number, values: Tensor) -> Tensor:
    """expm1(rate * values) / rate, which at rate 0 is `values`."""
    if isinstance(rate, Tensor):
        zero = rate == 0
        return torch.where(zero, values, torch.expm1(rate * values) / torch.where(zero, 1.0, rate))
    return torch.expm1(rate * values) / rate if rate else values


def pick(values: Tensor, target: Tensor) -> Tensor:
    """The entry of each row [N, C] that belongs to the target [N]."""
    return values.gather(-1, target.unsqueeze(-1)).squeeze(-1)


def one_hot(target: Tensor, like: Tensor) -> Tensor:
    """Target indices [N] as rows [N, C] of the logits' type."""
    return torch.zeros_like(like).scatter_(-1, target.unsqueeze(-1), torch.ones_like(like[..., :1]))


def log_probabilities(logits: Tensor) -> Tensor:
    """log softmax [N, C] whose values and gradients are exact to rounding at every confidence."""
    result: Tensor = _LogProbabilities.apply(logits)
    return result


def log_not_p(log_p: Tensor, target: Tensor) -> Tensor:
    """log(1 - p_y) [N] from log-probabilities [N, C], as a log-sum-exp over the other classes: finite at any margin."""
    masked = log_p.scatter(-1, target.unsqueeze(-1), -math.inf)
    return masked.logsumexp(-1)


def entropy(log_p: Tensor) -> Tensor:
    """Entropy [N] of a distribution given as log-probabilities [N, C], in nats."""
    result: Tensor = -(log_p.exp() * log_p).sum(-1)
    return result


class _LogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        top, index = logits.max(-1, keepdim=True)
        gaps = logits - top
        odds = gaps.exp().scatter_(-1, index, torch.zeros_like(top))
        rest = odds.sum(-1, keepdim=True)
        ctx.save_for_backward(odds, rest, index)
        return gaps - rest.log1p()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("this loss has no second derivative; take the gradient without create_graph")
        odds, rest, index = ctx.saved_tensors
        total = 1 + rest
        at_top = upstream.gather(-1, index)
        others = upstream.scatter(-1, index, torch.zeros_like(at_top)).sum(-1, keepdim=True)
        gradient = upstream - odds * ((others + at_top) / total)
        result: Tensor = gradient.scatter_(-1, index, (at_top * rest - others) / total)
        return result
