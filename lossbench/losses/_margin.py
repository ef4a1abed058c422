"""The one mechanism behind every loss that depends on the true-class probability p_y alone.

Such a loss L = f(p_y) has the gradient of cross entropy times one number per sample,

    dL/dq_j = w(p_y) (p_j - [j = y]),   w(p) = -p f'(p),

so a loss states its value and its weight as a small function of `TrueClass`, and everything that touches the [N, C]
logits is here: one pass for the probabilities, one buffer, which becomes the gradient in place.

Numerics: 1 - p_y is the sum of the other classes' probabilities and -log p_y = log1p((1 - p_y) / p_y), so both keep
their relative precision as p_y tends to 1 and as it tends to 0. No term is clamped or padded.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbench.losses._numerics import Number, number, plus, refuse_second_derivative, times

__all__ = ["Curve", "TrueClass", "at_probability", "true_class_and_residual", "true_class_loss"]


class TrueClass(NamedTuple):
    """The true class as a loss sees it: `ce` = -log p_y, `p` = p_y and `not_p` = 1 - p_y, each exact to rounding."""

    ce: Tensor
    p: Tensor
    not_p: Tensor

    @property
    def ce_over_not_p(self) -> Tensor:
        """-log(p_y) / (1 - p_y), which tends to 1 as p_y does."""
        return (self.ce / self.not_p).nan_to_num(nan=1.0)

    def mixed(self, alpha: Number, beta: Number) -> tuple[Tensor, Number]:
        """Value and weight of alpha (-log p_y) + beta (1 - p_y)."""
        return plus(times(alpha, self.ce), beta, self.not_p), plus(number(alpha, self.p), beta, self.p)


Curve = Callable[..., tuple[Tensor, Number]]
"""A loss as a function of p_y: `(TrueClass, **knobs) -> (value f(p_y), weight -p f'(p_y))`."""


def at_probability(p: Tensor) -> TrueClass:
    """The true class at given probabilities, to draw or examine a curve."""
    return TrueClass(-p.log(), p, 1 - p)


def true_class_loss(curve: Curve, logits: Tensor, target: Tensor, knobs: Mapping[str, Any]) -> Tensor:
    """The loss of each sample, differentiable in the logits and in every knob that requires a gradient.

    Args:
        curve: value and weight as a function of p_y.
        logits: unnormalised scores [N, C].
        target: class indices [N].
        knobs: numbers, words, or tensors that broadcast to [N].
    Returns:
        Loss per sample [N].
    """
    fixed = {knob: value for knob, value in knobs.items() if not isinstance(value, Tensor)}
    varied = {knob: value.unsqueeze(-1) for knob, value in knobs.items() if isinstance(value, Tensor)}
    if not varied:
        return bound_loss(curve, fixed)(logits, target)
    bound = functools.partial(curve, **fixed)
    value: Tensor = _VariedLoss.apply(logits, target, bound, tuple(varied), *varied.values())
    return value


def bound_loss(curve: Curve, knobs: Mapping[str, Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """`true_class_loss` with knobs of which none is a tensor, bound once: on small batches each call counts."""
    return functools.partial(_FixedLoss.apply, functools.partial(curve, **knobs))


def true_class_and_residual(logits: Tensor, target: Tensor) -> tuple[TrueClass, Tensor]:
    """The true class [N, 1] and p_j - [j = y] [N, C], the gradient of cross entropy in the logits [N, C]."""
    index = target.unsqueeze(-1)
    residual = torch.softmax(logits, -1)
    p = residual.gather(-1, index)
    not_p = residual.scatter_(-1, index, 0.0).sum(-1, keepdim=True)
    ce = (not_p / p).log1p_()
    smallest = _smallest(p.dtype)
    # What this takes is two more passes over the classes, so a processor looks first whether any sample needs it;
    # elsewhere looking would take longer. What a sample gets does not depend on what the others need.
    if not _at_hand(p) or p.min().item() < smallest:
        below_top = logits.amax(-1, keepdim=True) - logits.gather(-1, index)
        ce = torch.where(p < smallest, below_top - residual.amax(-1, keepdim=True).log(), ce)
    return TrueClass(ce, p, not_p), residual.scatter_(-1, index, -not_p)


@functools.cache
def _smallest(dtype: torch.dtype) -> float:
    """From here on a number of the type has all its digits."""
    about = torch.finfo(dtype)
    return about.tiny / about.eps


def _at_hand(values: Tensor) -> bool:
    """Whether there are numbers to look at, and nobody has to wait for them."""
    return values.is_cpu and values.numel() > 0 and not torch.compiler.is_compiling()


class _FixedLoss(torch.autograd.Function):
    """A curve of p_y alone."""

    @staticmethod
    def forward(ctx: Any, curve: Curve, logits: Tensor, target: Tensor) -> Tensor:
        true, ctx.residual = true_class_and_residual(logits, target)
        value, ctx.weight = curve(true)
        return value.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor, None]:
        return None, _spent(ctx, upstream.unsqueeze(-1)), None


class _VariedLoss(torch.autograd.Function):
    """A curve of p_y and of knobs that are tensors, of which those that are learned get their gradients."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, curve: Curve, names: tuple[str, ...], *knobs: Tensor
    ) -> Tensor:
        true, ctx.residual = true_class_and_residual(logits, target)
        ctx.learned = tuple(place for place, knob in enumerate(knobs) if knob.requires_grad)
        with torch.set_grad_enabled(bool(ctx.learned)):
            leaves = tuple(knob.detach().requires_grad_(knob.requires_grad) for knob in knobs)
            value, weight = curve(true, **dict(zip(names, leaves, strict=True)))
        ctx.value, ctx.leaves = value, leaves
        ctx.weight = weight.detach() if isinstance(weight, Tensor) else weight
        return value.detach().squeeze(-1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        upstream = upstream.unsqueeze(-1)
        gradient = _spent(ctx, upstream)
        slopes: list[Tensor | None] = [None] * len(ctx.leaves)
        if ctx.learned:
            leaves = [ctx.leaves[place] for place in ctx.learned]
            found = torch.autograd.grad(ctx.value, leaves, upstream, allow_unused=True)
            for place, slope in zip(ctx.learned, found, strict=True):
                slopes[place] = slope
        return gradient, None, None, None, *slopes


def _spent(ctx: Any, upstream: Tensor) -> Tensor:
    """The gradient in the logits. The buffer is as large as they are: it is turned into it in place and given away."""
    refuse_second_derivative()
    residual, ctx.residual = ctx.residual, None
    if residual is None:
        raise RuntimeError("the gradient of this loss was already taken; compute the loss again")
    gradient: Tensor = residual.mul_(times(ctx.weight, upstream))
    return gradient
