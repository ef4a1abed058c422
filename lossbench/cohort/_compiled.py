"""Networks on the CPU: machine code that takes one run after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from lossbench import losses
from lossbench.cohort._compiling import kernels
from lossbench.cohort._network import RECORDED, Bind, Shape
from lossbench.cohort._rows import Rows
from lossbench.cohort._vectors import LANES
from lossbench.cohort.planning import evenly
from lossbench.losses import TrueClass
from lossbench.objective import Scores, by_kind
from lossbench.spec import RunSpec

__all__ = ["CompiledNetwork"]

Array = NDArray[Any]

HELD_OUT_ROWS = 64
"""Rows that are evaluated at once: enough to amortise reading the weights, few enough for the fastest cache."""


@dataclass(frozen=True, slots=True, eq=False)
class _Desk:
    """Memory between a network and its losses: as losses see it, and flat as the kernels do."""

    scores: Scores
    arrays: tuple[Array, ...]


class CompiledNetwork:
    """See `Network`; nothing in a step is shared out among threads, and nothing depends on how many runs there are."""

    cache_bytes: ClassVar[int] = 2**20

    def __init__(
        self, shape: Shape, rows: Rows, seeds: Sequence[int], momentum: Sequence[float], weight_decay: Sequence[float]
    ) -> None:
        self._kernels = kernels(shape.dtype)
        self._shape = shape
        self._rows = rows
        runs, height, distinct = len(seeds), _whole(shape.batch), list(dict.fromkeys(seeds))
        self._seats = np.array([distinct.index(seed) for seed in seeds])
        self._plan, size = _plan(shape.widths, height)
        self._weights = self._zeros(runs, size)
        self._velocities = [self._zeros(runs, size) for _ in range(shape.steps)]
        self._numbers = self._zeros(runs, 3)
        self._numbers[:, 1], self._numbers[:, 2] = momentum, weight_decay
        widest = max(map(_whole, shape.widths))
        self._memory = self._zeros(
            len(distinct) * (_whole(shape.widths[0]) + 1) * height + runs * int(self._plan[-1, -1])
        )
        places = np.zeros(shape.batch, dtype=np.int64)
        self._scratch = self._zeros(2 * widest * height), self._zeros(widest * height), places, self._zeros(LANES**2)
        self._full = self._desk(shape.batch)
        self._tail = self._desk(rows.count % shape.batch)

    @staticmethod
    def divide(specs: Sequence[RunSpec], most: int) -> list[list[int]]:
        """Runs of one kind of loss side by side, where one call serves them without copies."""
        programs = []
        for count in sorted({len(losses.find(spec.loss).steps) for spec in specs}):
            members = [at for at, spec in enumerate(specs) if len(losses.find(spec.loss).steps) == count]
            order = by_kind([specs[at].loss for at in members], epochs=specs[0].preset.epochs)
            programs += evenly([members[at] for at in order], most)
        return programs

    @staticmethod
    def training(inputs: Tensor, target: Tensor) -> Rows:
        """With a row of zeros to fill up batches."""
        count, width = inputs.shape
        return Rows(pad(inputs, (0, _whole(width) - width, 0, 1)), pad(target, (0, 1)), count)

    @staticmethod
    def held_out(inputs: Tensor) -> Tensor:
        """In pieces [N, columns, rows]."""
        count, width = inputs.shape
        pieces = -(-count // HELD_OUT_ROWS)
        filled = pad(inputs, (0, _whole(width) - width, 0, pieces * HELD_OUT_ROWS - count))
        return filled.view(pieces, HELD_OUT_ROWS, -1).transpose(1, 2).contiguous()

    def set_lr(self, lr: Sequence[float]) -> None:
        self._numbers[:, 0] = lr

    def train(self, visits: Tensor, bind: Bind) -> Tensor:
        batches, _, count = visits.shape
        desk = self._full if count == self._shape.batch else self._tail
        differentiate = bind(desk.scores)
        filled = pad(visits, (0, _whole(self._shape.batch) - count), value=self._rows.count).contiguous()
        rows = self._rows.inputs.view(-1).numpy(), self._rows.target.numpy(), filled.numpy(), self._seats
        sums = np.zeros((len(self._weights), RECORDED))

        def step(velocity: Array, moved: int, seen: int, first: bool) -> None:
            self._kernels.step(
                self._plan, self._weights, velocity, self._numbers, self._shape.nesterov, *rows, self._memory,
                *desk.arrays, *self._scratch, sums, moved, seen, first, count,
            )  # fmt: skip

        # What was seen is learned from in the next call, before more is seen, and in a last one.
        moved, velocity = -1, self._velocities[0]
        for batch in range(batches):
            for number, its_velocity in enumerate(self._velocities):
                step(velocity, moved, batch, number == 0)
                differentiate(number)
                moved, velocity = batch, its_velocity
        step(velocity, moved, -1, False)
        return torch.from_numpy(sums)

    def logits(self, rows: Tensor, count: int) -> Tensor:
        made = self._zeros(len(self._weights), count, self._shape.widths[-1])
        plan, _ = _plan(self._shape.widths, HELD_OUT_ROWS)
        memory = self._zeros(rows.shape[1] * HELD_OUT_ROWS + int(plan[-1, -1]))
        piece = self._zeros(self._shape.widths[-1] * HELD_OUT_ROWS)
        self._kernels.evaluate(plan, self._weights, rows.numpy(), memory, piece, made)
        return torch.from_numpy(made)

    def layers(self) -> list[Tensor]:
        return self._copied(self._weights)

    def velocities(self) -> list[list[Tensor]]:
        return [self._copied(each) for each in self._velocities]

    def put(self, run: int, layers: Sequence[Tensor], velocities: Sequence[Sequence[Tensor]] = ()) -> None:
        for mine, theirs in [(self._weights, layers), *zip(self._velocities, velocities, strict=False)]:
            for (weights, biases), layer in zip(self._views(mine), theirs, strict=True):
                weights[run], biases[run] = layer[:, :-1], layer[:, -1]

    def _views(self, flat: Array) -> list[tuple[Array, Array]]:
        """Weights [R, out, in] and biases [R, out] of each layer."""
        views = []
        for inputs, columns, outputs, weights_at, biases_at, _ in self._plan.tolist():
            weights = flat[:, weights_at : weights_at + outputs * columns].reshape(-1, outputs, columns)
            views.append((weights[..., :inputs], flat[:, biases_at : biases_at + outputs]))
        return views

    def _copied(self, flat: Array) -> list[Tensor]:
        return [
            torch.from_numpy(np.concatenate([weights, biases[..., np.newaxis]], -1))
            for weights, biases in self._views(flat)
        ]

    def _zeros(self, *shape: int) -> Array:
        return np.zeros(shape, dtype=np.float64 if self._shape.dtype == torch.float64 else np.float32)

    def _desk(self, count: int) -> _Desk:
        """Memory for batches of that many real rows."""
        runs, classes, height = len(self._weights), self._shape.widths[-1], _whole(self._shape.batch)
        logits, residual = (self._zeros(runs, classes, height) for _ in range(2))
        # The kernels write whole vectors, of which the last may reach beyond the rows.
        row_by_row = [self._zeros(runs * count + LANES) for _ in range(5)]
        target = np.zeros(runs * count + LANES, dtype=np.int64)
        ce, p, not_p, losses, factors, labels = (
            torch.from_numpy(each)[: runs * count].view(runs, count) for each in (*row_by_row, target)
        )
        logits_seen, residual_seen = (
            torch.from_numpy(each)[..., :count].transpose(1, 2) for each in (logits, residual)
        )  # fmt: skip
        scores = Scores(
            logits=logits_seen,
            residual=residual_seen,
            true=TrueClass(ce, p, not_p),
            target=labels,
            losses=losses,
            factors=factors,
        )
        return _Desk(scores, (logits.reshape(-1), residual.reshape(-1), *row_by_row[:3], target, *row_by_row[3:]))


def _whole(count: int) -> int:
    """The next multiple of `LANES`, so that there are whole vectors only."""
    return -(-count // LANES) * LANES


def _plan(widths: Sequence[int], rows: int) -> tuple[NDArray[np.int64], int]:
    """What the kernels are told of each layer [L, 6], for batches of so many rows, and how long a run's weights are."""
    layers, size, activations = [], 0, 0
    for inputs, outputs in pairwise(widths):
        biases_at = size + outputs * _whole(inputs)
        layers.append((inputs, _whole(inputs), outputs, size, biases_at, activations))
        size, activations = biases_at + _whole(outputs), activations + _whole(outputs) * rows
    return np.array(layers), size
