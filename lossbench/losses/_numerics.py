"""Pieces shared by the losses that look at more than the true-class probability.

Everything keeps its relative precision where one class takes all the mass: the largest log-probability is a log1p
over the others, and gradients never subtract a probability from 1.
"""

import functools
import math
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Number",
    "column",
    "entropy",
    "exp",
    "expm1",
    "expm1_over",
    "log",
    "log_not_p",
    "log_probabilities",
    "not_below",
    "number",
    "one_hot",
    "pick",
    "plus",
    "plus_product",
    "power",
    "refuse_second_derivative",
    "times",
]


Number = float | Tensor
"""A numeric knob as a loss receives it: one number, or one per sample as a tensor that broadcasts to [N]."""


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


def not_below(values: Tensor, floor: Number) -> Tensor:
    """The larger of each value and the floor."""
    return torch.maximum(values, floor) if isinstance(floor, Tensor) else values.clamp(min=floor)


def expm1_over(rate: Number, values: Tensor) -> Tensor:
    """expm1(rate * values) / rate, which at rate 0 is `values`."""
    if isinstance(rate, Tensor):
        zero = rate == 0
        return torch.where(zero, values, expm1(rate * values) / torch.where(zero, 1.0, rate))
    return times(1 / rate, expm1(times(rate, values))) if rate else values


@functools.lru_cache(256)
def _scalar(value: float, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # Made during an evaluation, it may be needed in a backward pass.
        return torch.tensor(value, dtype=dtype)


def number(value: Number, like: Tensor) -> Tensor:
    """A plain number as a tensor of a type, made on its first use: wrapping it at each call costs more than a sum or
    product does on small batches."""
    if isinstance(value, Tensor):
        return value
    if torch.compiler.is_compiling():
        return like.new_full((), value)
    return _scalar(value, like.dtype)


def times(factor: Number, values: Tensor) -> Tensor:
    """factor * values."""
    if isinstance(factor, Tensor):
        return values * factor
    return values if factor == 1 else values * number(factor, values)


def plus(base: Tensor, factor: Number, other: Tensor) -> Tensor:
    """base + factor * other, in one kernel where the factor is a plain number."""
    return base + factor * other if isinstance(factor, Tensor) else torch.add(base, other, alpha=factor)


def plus_product(base: Tensor, factor: Number, one: Tensor, other: Tensor) -> Tensor:
    """base + factor * one * other, in one kernel where the factor is a plain number."""
    if isinstance(factor, Tensor):
        return base + factor * (one * other)
    return torch.addcmul(base, one, other, value=factor)


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


def log_not_p(logits: Tensor, target: Tensor) -> Tensor:
    """log(1 - p_y) [N], finite at any margin, with a gradient exact to rounding."""
    result: Tensor = _LogNotP.apply(logits, target)
    return result


def expm1(values: Tensor) -> Tensor:
    """exp(values) - 1 with the gradient exp(values), which torch takes as (exp(values) - 1) + 1 and so rounds away."""
    result: Tensor = _Expm1.apply(values) if values.requires_grad else torch.expm1(values)
    return result


def entropy(log_p: Tensor) -> Tensor:
    """Entropy [N] of a distribution given as log-probabilities [N, C], in nats."""
    result: Tensor = -(log_p.exp() * log_p).sum(-1)
    return result


def refuse_second_derivative() -> None:
    """Backward passes written by hand are not differentiable themselves; say so rather than return a wrong number."""
    if torch.is_grad_enabled():
        raise RuntimeError("this loss has no second derivative; take the gradient without create_graph")


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
        refuse_second_derivative()
        odds, rest, index = ctx.saved_tensors
        total = 1 + rest
        at_top = upstream.gather(-1, index)
        others = upstream.scatter(-1, index, torch.zeros_like(at_top)).sum(-1, keepdim=True)
        gradient = upstream - odds * ((others + at_top) / total)
        result: Tensor = gradient.scatter_(-1, index, (at_top * rest - others) / total)
        return result


class _LogNotP(torch.autograd.Function):
    """d log(1 - p_y) is p_y r_j for the other classes, r their softmax among themselves, and -p_y for the true one."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        index = target.unsqueeze(-1)
        log_p = logits.log_softmax(-1)
        p_true = log_p.gather(-1, index).exp()
        others = log_p.scatter_(-1, index, torch.full_like(p_true, -math.inf))
        result = others.logsumexp(-1, keepdim=True)
        ctx.save_for_backward(others.sub_(result).exp_().mul_(p_true).scatter_(-1, index, -p_true))
        return result.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        refuse_second_derivative()
        (slope,) = ctx.saved_tensors
        return slope * upstream.unsqueeze(-1), None


class _Expm1(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return torch.expm1(values)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        refuse_second_derivative()
        (values,) = ctx.saved_tensors
        result: Tensor = upstream * values.exp()
        return result
