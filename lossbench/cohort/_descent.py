"""Stochastic gradient descent with learning rate, momentum and weight decay of each run's own."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Descent"]

SPREAD = 256
"""Weights per run up to which a coefficient is written out once per weight: short rows make slow broadcasts."""


class Descent:
    """`torch.optim.SGD` without dampening, over weights [R, ...] with coefficients [R]."""

    def __init__(
        self, weights: Sequence[Tensor], momentum: Tensor, weight_decay: Tensor | None, *, nesterov: bool
    ) -> None:
        """No `weight_decay` is none in any run, which saves a pass over all weights."""
        self.weights = weights
        self.velocity = [torch.zeros_like(each) for each in weights]
        self._momentum = [_spread(momentum, each) for each in weights]
        self._weight_decay = None if weight_decay is None else [_spread(weight_decay, each) for each in weights]
        self._descent = [torch.zeros_like(each) for each in self._momentum]
        self._nesterov = nesterov

    def set_lr(self, lr: Tensor) -> None:
        """Learning rates from now on, one per run [R] or one per weight of a single [R, K] tensor."""
        for descent, weight in zip(self._descent, self.weights, strict=True):
            descent.copy_(lr if lr.shape == weight.shape else _column(lr, weight)).neg_()

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the weights of every run."""
        if self._weight_decay is not None:
            gradients = [
                torch.addcmul(gradient, weight, weight_decay)
                for gradient, weight, weight_decay in zip(gradients, self.weights, self._weight_decay, strict=True)
            ]
        for weight, gradient, velocity, momentum, descent in zip(
            self.weights, gradients, self.velocity, self._momentum, self._descent, strict=True
        ):
            torch.addcmul(gradient, velocity, momentum, out=velocity)
            weight.addcmul_(torch.addcmul(gradient, velocity, momentum) if self._nesterov else velocity, descent)


def _column(coefficient: Tensor, weight: Tensor) -> Tensor:
    return coefficient.view(-1, *[1] * (weight.ndim - 1))


def _spread(coefficient: Tensor, weight: Tensor) -> Tensor:
    column = _column(coefficient, weight)
    return column.expand_as(weight).contiguous() if weight[0].numel() <= SPREAD else column.clone()
