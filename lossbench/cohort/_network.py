"""What a program asks of the networks it trains, however they are computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from lossbench.cohort._rows import Rows
from lossbench.objective import Scores
from lossbench.spec import RunSpec

__all__ = ["RECORDED", "Bind", "Network", "Shape"]

RECORDED = 5
"""Sums of an epoch: objective, NLL, hits, norm of all gradients, norm of the last layer's weights' gradient."""

Bind = Callable[[Scores], Callable[[int], None]]
"""Takes scores and gives what makes losses and factors from them, in the loss's step of that number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the networks of a program have in common."""

    widths: Sequence[int]
    """Of inputs, hidden layers and classes."""
    batch: int
    """Rows of a batch."""
    steps: int
    """Steps a loss takes on each batch, every one with a momentum of its own."""
    nesterov: bool
    dtype: torch.dtype
    device: torch.device


class Network(Protocol):
    """R networks of one shape, one per run, in training by stochastic gradient descent.

    Layers are [R, out, in + 1], the last column the biases. A run's numbers are the same bit for bit on the CPU whoever
    trains beside it.
    """

    cache_bytes: ClassVar[int]
    """Weights and velocities of the runs that step together take at most this much."""

    def __init__(
        self, shape: Shape, rows: Rows, seeds: Sequence[int], momentum: Sequence[float], weight_decay: Sequence[float]
    ) -> None:
        """Networks of zeros; a seed per run, and what each run's optimiser was given."""

    @staticmethod
    def divide(specs: Sequence[RunSpec], most: int) -> list[list[int]]:
        """Places of the runs by program, each of at most `most`, in the order that `seeds` must have."""
        ...

    @staticmethod
    def training(inputs: Tensor, target: Tensor) -> Rows:
        """Training rows [D, F] of classes [D], arranged."""
        ...

    @staticmethod
    def held_out(inputs: Tensor) -> Tensor:
        """Other rows [D, F], arranged."""
        ...

    def set_lr(self, lr: Sequence[float]) -> None:
        """Learning rates from now on, one per run."""

    def train(self, visits: Tensor, bind: Bind) -> Tensor:
        """Train on batches [K, S, B] of row numbers by distinct seed; sums of the recorded values, float64 [R, 5]."""
        ...

    def logits(self, rows: Tensor, count: int) -> Tensor:
        """Logits [R, D, C] of the first `count` of arranged rows."""
        ...

    def layers(self) -> list[Tensor]:
        """A copy of all weights, by layer."""
        ...

    def velocities(self) -> list[list[Tensor]]:
        """A copy of what momentum holds, by step and layer."""
        ...

    def put(self, run: int, layers: Sequence[Tensor], velocities: Sequence[Sequence[Tensor]] = ()) -> None:
        """Set the weights [out, in + 1] of one run, and what its momentum holds."""
