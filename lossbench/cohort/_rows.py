"""The rows a cohort trains on, and the blocks of batches in which it sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lossbench import data
from lossbench.data import Dataset
from lossbench.spec import DataSpec

__all__ = ["Rows", "features"]

PIECE = 4096
"""Rows of images that are turned into features at once."""


def features(dataset: Dataset, split: Literal["train", "val", "test"], spec: DataSpec, dtype: torch.dtype) -> Tensor:
    """All rows of a split, flattened [D, F]."""
    device = dataset.train.target.device
    pieces = data.evaluation_batches(dataset, split, spec, device=device, batch_size=PIECE)
    return torch.cat([inputs.flatten(1).to(dtype) for inputs, _ in pieces])


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Training rows in the form a network takes them, and which of them each batch has."""

    inputs: Tensor
    target: Tensor
    count: int

    def blocks(self, seeds: Sequence[int], epoch: int, *, batch: int, length: int) -> Iterator[Tensor]:
        """Row numbers by batch and seed [K, S, B]: at most `length` batches at a time, a shorter last one by itself."""
        orders = torch.stack([data.permutation(self.count, seed=seed, epoch=epoch) for seed in seeds])
        full = self.count // batch * batch
        for visits in torch.split(orders[:, :full].reshape(len(seeds), -1, batch), length, 1):
            yield visits.transpose(0, 1)
        if full < self.count:
            yield orders[:, full:].unsqueeze(0)
