"""Stochastic gradient descent with learning rate, momentum and weight decay of each run's own."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Descent"]

SPREAD = 1024
"""Weights per run up to which a coefficient is written out once per weight: short rows make slow broadcasts."""


class Descent:
    """`torch.optim.SGD` without dampening, over weights [R, ...] with coefficients [R]."""

    def __init__(self, weights: Sequence[Tensor], momentum: Tensor, weight_decay: Tensor, *, nesterov: bool) -> None:
        self.weights = weights
        self.velocity = [torch.zeros_like(each) for each in weights]
        self._momentum = [_spread(momentum, each) for each in weights]
        self._weight_decay = [_spread(weight_decay, each) for each in weights]
        self._lr = [torch.zeros_like(each) for each in self._momentum]
        self._nesterov = nesterov

    def set_lr(self, lr: Tensor) -> None:
        """Learning rates from now on, one per run [R] or one per weight of a single [R, K] tensor."""
        for mine, weight in zip(self._lr, self.weights, strict=True):
            mine.copy_(lr if lr.shape == weight.shape else lr.view(-1, *[1] * (weight.ndim - 1)))

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the weights of every run."""
        for weight, gradient, velocity, momentum, weight_decay, lr in zip(
            self.weights, gradients, self.velocity, self._momentum, self._weight_decay, self._lr, strict=True
        ):
            direction = torch.addcmul(gradient, weight, weight_decay)
            velocity.mul_(momentum).add_(direction)
            if self._nesterov:
                direction.addcmul_(velocity, momentum)
                weight.addcmul_(direction, lr, value=-1.0)
            else:
                weight.addcmul_(velocity, lr, value=-1.0)


def _spread(coefficient: Tensor, weight: Tensor) -> Tensor:
    column = coefficient.view(-1, *[1] * (weight.ndim - 1))
    return column.expand_as(weight).contiguous() if weight[0].numel() <= SPREAD else column.clone()
