"""Networks on any device, by torch: all runs in one batched product per layer and step."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from lossbench import losses
from lossbench.cohort._descent import Descent
from lossbench.cohort._network import Bind, Shape
from lossbench.cohort._rows import Rows
from lossbench.cohort._seats import Seats
from lossbench.cohort._stack import Stack, aligned, places_per_group
from lossbench.cohort.planning import evenly
from lossbench.objective import Softmax
from lossbench.spec import RunSpec

__all__ = ["StackedNetwork"]

EVALUATION_ROWS = 1024


class StackedNetwork:
    """See `Network`. Runs come sorted by seed, equally many of each seed, all of them with weight decay or none.

    A run's numbers are the same bit for bit on the CPU whoever trains beside it: products have shapes of their own (see
    `_stack`), elementwise kernels are among those whose result does not depend on where in a tensor a number stands,
    and every sum goes along one run's own numbers.
    """

    cache_bytes: ClassVar[int] = 2**20

    def __init__(
        self, shape: Shape, rows: Rows, seeds: Sequence[int], momentum: Sequence[float], weight_decay: Sequence[float]
    ) -> None:
        self._shape = shape
        self._rows = rows
        self._seats = Seats.of(seeds, places_per_group(shape.widths))
        self._places = self._seats.per_run(torch.arange(self._seats.places, device=shape.device), 0)
        groups = self._seats.places // self._seats.group_size
        self._stack = Stack(shape.widths, groups, dtype=shape.dtype, device=shape.device)
        self._hidden = self._stack.hidden(aligned(shape.batch))
        decay = self._placed(weight_decay) if any(weight_decay) else None
        self._descents = [
            Descent(self._stack.weights, self._placed(momentum), decay, nesterov=shape.nesterov)
            for _ in range(shape.steps)
        ]
        self._full = self._desk(shape.batch)
        self._tail = self._desk(rows.count % shape.batch)

    @staticmethod
    def divide(specs: Sequence[RunSpec], most: int) -> list[list[int]]:
        """As many of each seed, alike in the arithmetic of a step."""
        by_seed: dict[tuple[int, bool, int], list[int]] = {}
        for member, spec in enumerate(specs):
            steps, decays = len(losses.find(spec.loss).steps), spec.preset.optimizer.weight_decay > 0
            by_seed.setdefault((steps, decays, spec.seed), []).append(member)
        alike: dict[tuple[int, bool, int], list[list[int]]] = {}
        for (steps, decays, _), members in sorted(by_seed.items()):
            for part in evenly(members, most):
                alike.setdefault((steps, decays, len(part)), []).append(part)
        return [
            list(chain.from_iterable(parts))
            for (*_, size), seeds in alike.items()
            for parts in evenly(seeds, max(1, most // size))
        ]

    @staticmethod
    def training(inputs: Tensor, target: Tensor) -> Rows:
        """With a row of zeros to fill up batches."""
        return Rows(pad(_with_ones(inputs), (0, 0, 0, 1)), pad(target, (0, 1)), len(inputs))

    @staticmethod
    def held_out(inputs: Tensor) -> Tensor:
        """Filled up to aligned rows."""
        return pad(_with_ones(inputs), (0, 0, 0, aligned(len(inputs)) - len(inputs)))

    def set_lr(self, lr: Sequence[float]) -> None:
        for descent in self._descents:
            descent.set_lr(self._placed(lr))

    def train(self, visits: Tensor, bind: Bind) -> Tensor:
        count = visits.shape[2]
        desk = self._full if count == self._shape.batch else self._tail
        differentiate = bind(desk.softmax.scores)
        visits = pad(visits, (0, aligned(self._shape.batch) - count), value=self._rows.count).to(self._shape.device)
        inputs = self._rows.inputs[visits.repeat_interleave(self._seats.groups, 1)]
        target = self._rows.target[visits[..., :count].repeat_interleave(self._seats.each, 1)]
        losses_seen, logits_seen, gradients_seen = [], [], []
        for batch, labels in zip(inputs.unbind(), desk.softmax.labels(target).unbind(), strict=True):
            for step, descent in enumerate(self._descents):
                logits = self._stack.forward(batch, self._hidden)
                desk.logits.copy_(self._seats.seated(logits, 0)[..., :count].movedim(2, 0))
                scores = desk.softmax.fill(labels)
                differentiate(step)
                factors = (scores.factors * (1 / count)).view(desk.upstream.shape[1:])
                torch.mul(desk.residual, factors, out=desk.upstream)
                gradients = self._stack.backward(batch, self._hidden, desk.every_upstream)
                descent.step(gradients)
                losses_seen.append(scores.losses.clone())
                gradients_seen.append(gradients)
                if step == 0:
                    logits_seen.append(logits)
        return self._sums(losses_seen, logits_seen, gradients_seen, target)

    def logits(self, rows: Tensor, count: int) -> Tensor:
        pieces = []
        for part in torch.split(rows, EVALUATION_ROWS):
            made = self._stack.forward(part.expand(self._stack.groups, -1, -1), self._stack.hidden(len(part)))
            pieces.append(self._seats.per_run(made, 0).transpose(1, 2))
        return torch.cat(pieces, 1)[:, :count]

    def layers(self) -> list[Tensor]:
        return self._copied(self._stack.weights)

    def velocities(self) -> list[list[Tensor]]:
        return [self._copied(descent.velocity) for descent in self._descents]

    def put(self, run: int, layers: Sequence[Tensor], velocities: Sequence[Sequence[Tensor]] = ()) -> None:
        momenta = [descent.velocity for descent in self._descents]
        place = int(self._places[run])
        for mine, theirs in [(self._stack.weights, layers), *zip(momenta, velocities, strict=False)]:
            for layer, value in zip(mine, theirs, strict=True):
                layer[place, :, : value.shape[1] - 1] = value[:, :-1].to(layer)
                layer[place, :, -1] = value[:, -1].to(layer)

    def _copied(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """Layers [R, out, in + 1], without the columns that only fill up."""
        pairs = zip(layers, self._shape.widths, strict=False)
        return [torch.cat([layer[..., :inputs], layer[..., -1:]], -1)[self._places].cpu() for layer, inputs in pairs]

    def _placed(self, values: Sequence[float]) -> Tensor:
        """Values [R] at their places [P], zero where nobody sits."""
        given = torch.tensor(values, dtype=self._shape.dtype, device=self._shape.device)
        return given.new_zeros(self._stack.places).index_copy_(0, self._places, given)

    def _desk(self, count: int) -> "_Desk":
        """Memory for batches of that many real rows."""
        shape, seats = self._shape, self._seats
        classes = shape.widths[-1]
        softmax = Softmax(seats.runs, count, classes, dtype=shape.dtype, device=shape.device)
        by_seed = (classes, len(seats.seeds), seats.each, count)
        upstream = softmax.logits.new_zeros(seats.places, classes, aligned(shape.batch))
        return _Desk(
            softmax=softmax,
            logits=softmax.logits.view(by_seed),
            residual=softmax.residual.view(by_seed),
            every_upstream=upstream,
            upstream=seats.seated(upstream, 0)[..., :count].movedim(2, 0),
        )

    def _sums(
        self, values: Sequence[Tensor], logits: Sequence[Tensor], gradients: Sequence[Sequence[Tensor]], target: Tensor
    ) -> Tensor:
        """Sums [R, 5] of the recorded values of many steps: losses [R, B], logits [P, C, B] and gradients of each, and
        the classes [K, R, B] of the batches."""
        norms = _norms([torch.stack(each) for each in zip(*gradients, strict=True)])
        norm_all, norm_last = (_totals(self._seats.per_run(each, 1).t()) for each in norms)
        nll, hits = map(_totals, self._outcome(torch.stack(list(logits)), target))
        return torch.stack([_totals(torch.stack(list(values), 1)), nll, hits, norm_all, norm_last], 1)

    def _outcome(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """NLL and hits [R, K x B] of logits [K, P, C, B] and target [K, R, B]."""
        batches, runs, rows = target.shape
        classes = logits.shape[2]
        softmax = Softmax(runs, batches * rows, classes, dtype=logits.dtype, device=logits.device)
        seated = self._seats.seated(logits, 1)[..., :rows]
        softmax.logits.view(classes, *seated.shape[1:3], batches, rows).copy_(seated.permute(3, 1, 2, 0, 4))
        return softmax.nll_and_hits(softmax.labels(target.transpose(0, 1).flatten(1)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Desk:
    """Memory between the networks and their losses, on batches of B rows of which the first `count` are real."""

    softmax: Softmax
    logits: Tensor
    """The softmax's logits [C, S, R / S, count]"""
    residual: Tensor
    """Its residual [C, S, R / S, count]"""
    every_upstream: Tensor
    """Gradient in the logits [P, C, B]"""
    upstream: Tensor
    """That of the runs' real rows [C, S, R / S, count]"""


def _with_ones(inputs: Tensor) -> Tensor:
    """Rows [D, F], zeros and a column of ones that meets the biases behind them [D, columns]."""
    width = inputs.shape[1]
    return pad(pad(inputs, (0, aligned(width + 1) - width - 1)), (0, 1), value=1.0)


def _norms(gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """l2 norms [N, P] of all gradients [N, P, out, columns] together and of the last layer's without its biases."""
    norm = torch.linalg.vector_norm
    *others, last = gradients
    weights = norm(norm(last[..., :-1], dim=-1), dim=-1)
    parts = [weights, norm(last[..., -1], dim=-1), *(norm(each.flatten(2), dim=-1) for each in others)]
    return torch.stack(parts).square_().sum(0).sqrt_(), weights


def _totals(values: Tensor) -> Tensor:
    """Sums [R] over everything but the first axis, each along a row of its own."""
    return values.flatten(1).contiguous().sum(1, dtype=torch.float64)
