"""The rows a program trains on, and the blocks of batches in which it sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from lossbench import data
from lossbench.cohort._stack import aligned
from lossbench.data import Dataset
from lossbench.spec import DataSpec

__all__ = ["Rows", "features"]

PIECE = 4096
"""Rows of images that are turned into features at once."""


def features(dataset: Dataset, split: Literal["train", "val", "test"], spec: DataSpec, dtype: torch.dtype) -> Tensor:
    """All rows of a split, flattened, zeros and a column of ones that meets the biases behind them [D, columns]."""
    device = dataset.train.target.device
    pieces = data.evaluation_batches(dataset, split, spec, device=device, batch_size=PIECE)
    rows = torch.cat([inputs.flatten(1).to(dtype) for inputs, _ in pieces])
    return pad(pad(rows, (0, aligned(rows.shape[1] + 1) - rows.shape[1] - 1)), (0, 1), value=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Training rows with one row of zeros behind them: inputs [D + 1, columns], target [D + 1]."""

    inputs: Tensor
    target: Tensor

    @classmethod
    def of(cls, dataset: Dataset, spec: DataSpec, dtype: torch.dtype) -> "Rows":
        inputs = features(dataset, "train", spec, dtype)
        return cls(pad(inputs, (0, 0, 0, 1)), pad(dataset.train.target, (0, 1)))

    def __len__(self) -> int:
        return len(self.target) - 1

    def blocks(self, seeds: Sequence[int], epoch: int, *, batch: int, length: int) -> Iterator[tuple[Tensor, int]]:
        """The epoch in blocks of at most `length` batches.

        Returns:
            Row numbers by seed [S, K, B], and how many of each batch's B rows are real: batches are filled up with the
            row of zeros to aligned ones, and a last one that is short to the size of all others.
        """
        orders = torch.stack([data.permutation(len(self), seed=seed, epoch=epoch) for seed in seeds])
        orders = orders.to(self.target.device)
        full = len(self) // batch * batch
        for visits in torch.split(orders[:, :full].reshape(len(seeds), -1, batch), length, 1):
            yield pad(visits, (0, aligned(batch) - batch), value=len(self)), batch
        if tail := len(self) - full:
            yield pad(orders[:, full:], (0, aligned(batch) - tail), value=len(self)).unsqueeze(1), tail
