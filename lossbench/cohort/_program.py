"""Runs of one network shape in training: seats, steps and sums.

Members keep their own seeds, losses and optimiser numbers. A run's numbers are the same bit for bit on the CPU
whoever trains beside it: products have shapes of their own (see `_stack`), elementwise kernels are among those whose
result does not depend on where in a tensor a number stands, and every sum goes along one run's own numbers.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import losses, models, schedules
from lossbench.cohort._descent import Descent
from lossbench.cohort._rows import Rows
from lossbench.cohort._stack import Stack, places_per_group
from lossbench.data import Dataset
from lossbench.objective import CohortObjective, Scores
from lossbench.schedules import Clock
from lossbench.spec import RunSpec

__all__ = ["Program"]

BLOCK_BYTES = 2**20
"""Steps are prepared and summed up in blocks whose gradients take about this much, so that they stay in the cache."""

LONGEST_BLOCK = 64
"""Most batches of a block; `stop` is asked before each."""

EVALUATION_ROWS = 1024

RECORDED = 5
"""Sums of an epoch: objective, NLL, hits, norm of all gradients, norm of the last layer's."""


@dataclass(frozen=True, slots=True, eq=False)
class _Buffers:
    """What the steps of a block leave behind, N = batches x steps per batch; empty places stay zero."""

    logits: Tensor
    """[N, P, C, B]"""
    gradients: list[Tensor]
    """[N, P, out, in + 1] per layer"""
    losses: Tensor
    """[N, R, B]"""
    upstream: Tensor
    """Gradient in the logits of one step [P, C, B]"""
    real_upstream: Tensor
    """The real rows of `upstream`, of which a short last batch has fewer"""
    scores: Scores
    gradient: Tensor
    """The gradient that `scores` hold after a step, as [R, C, B]"""


class Program:
    """R runs trained together, in the order of `specs`, which must be sorted by seed."""

    def __init__(
        self, specs: Sequence[RunSpec], dataset: Dataset, rows: Rows, widths: Sequence[int], *, dtype: torch.dtype
    ) -> None:
        preset = specs[0].preset
        self._specs = specs
        self._rows = rows
        self._batch = min(preset.batch_size, len(rows))
        self._device = rows.inputs.device
        self._dtype = dtype
        self._seeds = list(dict.fromkeys(spec.seed for spec in specs))
        group_seeds, places = _seats([spec.seed for spec in specs], places_per_group(widths))
        self._group_seeds = self._numbers(self._seeds.index(seed) for seed in group_seeds)
        self._member_seeds = self._numbers(self._seeds.index(spec.seed) for spec in specs)
        self.places = self._numbers(places)
        self._empty_places = len(places) < len(group_seeds) * places_per_group(widths)
        self.stack = Stack(widths, len(group_seeds), dtype=dtype, device=self._device)
        self._initialise(dataset)
        self.objective = CohortObjective(
            [spec.loss for spec in specs], target=dataset.train.target, classes=dataset.classes
        ).to(device=self._device, dtype=dtype)
        self._knobs = [_learned_knobs(spec) for spec in specs]
        self._schedules = [schedules.parse(spec.preset.optimizer.schedule) for spec in specs]
        # A loss of several steps gives each its own momentum, as in the code of COT.
        self.descents = [self._descent() for _ in range(self.objective.step_count)]
        self.knob_descents = [self._knob_descent() for _ in range(self.objective.step_count)]
        self._hidden = self.stack.hidden(self._batch)
        self._full = self._buffers(self._block_length(), self._batch)
        self._tail = self._buffers(1, len(rows) % self._batch)

    def lr(self, clock: Clock) -> list[float]:
        """Learning rate of each member in that epoch."""
        pairs = zip(self._specs, self._schedules, strict=True)
        return [spec.preset.optimizer.lr * schedule(clock) for spec, schedule in pairs]

    def train(self, clock: Clock, stop: Callable[[], bool]) -> dict[str, Tensor] | None:
        """One epoch of every member; None when `stop` came true on the way.

        Returns:
            Training values of the record, float64 [R] each.
        """
        self._set_lr(clock)
        sums = torch.zeros(len(self._specs), RECORDED, dtype=torch.float64, device=self._device)
        for visits, count in self._rows.blocks(
            self._seeds, clock.epoch, batch=self._batch, length=self._block_length()
        ):
            if stop():
                return None
            sums += self._train_block(visits, count, clock)
        rows, steps = len(self._rows), -(-len(self._rows) // self._batch) * self.objective.step_count
        objective, nll, hits, norm_all, norm_last = sums.unbind(1)
        return {
            "train/objective": objective / rows,
            "train/nll": nll / rows,
            "train/top1_acc": hits / rows,
            "train/gnorm_all": norm_all / steps,
            "train/gnorm_last": norm_last / steps,
            "train/wnorm_all": self._seated(_norms([layer.unsqueeze(0) for layer in self.stack.weights])[0], 1)[
                0
            ].double(),
        }

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits [R, D, C] of inputs [D, features + 1]."""
        pieces = []
        for part in torch.split(inputs, EVALUATION_ROWS):
            shared = part.expand(self.stack.groups, -1, -1)
            made = self.stack.forward(shared, self.stack.hidden(len(part)))
            pieces.append(self._seated(made, 0).transpose(1, 2))
        return torch.cat(pieces, 1)

    def state(self) -> list[dict[str, Any]]:
        """What each member's remaining epochs depend on, as views of one copy on the CPU."""
        weights = self._saved(self.stack.weights)
        velocities = [self._saved(descent.velocity) for descent in self.descents]
        raw = self.objective.raw.detach().to("cpu", copy=True)
        raw_velocities = [descent.velocity[0].to("cpu", copy=True) for descent in self.knob_descents]
        return [
            {
                "weights": [layer[run] for layer in weights],
                "velocities": [[layer[run] for layer in layers] for layers in velocities],
                # Rows are as long as the cohort's longest; a member's own knobs come first.
                "raw": raw[run, : self._knobs[run]],
                "raw_velocities": [each[run, : self._knobs[run]] for each in raw_velocities],
            }
            for run in range(len(self._specs))
        ]

    def load(self, members: Sequence[Mapping[str, Any]]) -> None:
        """Continue from members of `state()`, one per run."""
        for run, (place, saved) in enumerate(zip(self.places.tolist(), members, strict=True)):
            pairs = [(self.stack.weights, saved["weights"])]
            pairs += [(mine.velocity, theirs) for mine, theirs in zip(self.descents, saved["velocities"], strict=True)]
            for layers, values in pairs:
                for layer, value in zip(layers, values, strict=True):
                    layer[place] = value.to(layer)
            knobs = self._knobs[run]
            self.objective.raw.detach()[run, :knobs] = saved["raw"].to(self.objective.raw)
            for descent, value in zip(self.knob_descents, saved["raw_velocities"], strict=True):
                descent.velocity[0][run, :knobs] = value.to(self.objective.raw)

    def _saved(self, layers: Sequence[Tensor]) -> list[Tensor]:
        return [layer[self.places].cpu() for layer in layers]

    def _train_block(self, visits: Tensor, count: int, clock: Clock) -> Tensor:
        """Train on batches [S, K, B] of which the first `count` rows are real; sums of the recorded values [R, 5]."""
        buffers = self._full if count == self._batch else self._tail
        inputs = self._rows.inputs[visits.index_select(0, self._group_seeds).transpose(0, 1)]
        target = self._rows.target[visits[:, :, :count].index_select(0, self._member_seeds).transpose(0, 1)]
        batches = zip(inputs.unbind(), target.unbind(), buffers.scores.labels(target).unbind(), strict=True)
        slots = zip(buffers.logits.unbind(), buffers.losses.unbind(), _unbound(buffers.gradients), strict=True)
        for batch in batches:
            for step, slot in zip(range(self.objective.step_count), slots, strict=False):
                self._train_step(*batch, clock, step, buffers, *slot)
        made = len(target) * self.objective.step_count
        nll, hits = self._outcome(buffers.logits[: made : self.objective.step_count, ..., :count], target)
        norm_all, norm_last = _norms([each[:made] for each in buffers.gradients])
        return torch.stack(
            [
                _totals(buffers.losses[:made].transpose(0, 1)),
                _totals(nll),
                _totals(hits),
                _totals(self._seated(norm_all, 1).t()),
                _totals(self._seated(norm_last, 1).t()),
            ],
            1,
        )

    def _train_step(
        self,
        inputs: Tensor,
        target: Tensor,
        labels: Tensor,
        clock: Clock,
        step: int,
        buffers: _Buffers,
        logits: Tensor,
        losses: Tensor,
        gradients: Sequence[Tensor],
    ) -> None:
        """Move every run by one batch, and leave logits, losses and gradients in the last three."""
        self.stack.forward(inputs, self._hidden, logits)
        buffers.scores.logits.copy_(self._seated(logits, 0)[:, :, : target.shape[1]].transpose(0, 1))
        raw = self.objective.raw
        raw.grad = None
        losses.copy_(self.objective.differentiate(buffers.scores, labels, target, clock, step=step))
        if self._empty_places:
            buffers.real_upstream.index_copy_(0, self.places, buffers.gradient.contiguous())
        else:
            buffers.real_upstream.copy_(buffers.gradient)
        self.stack.backward(inputs, self._hidden, buffers.upstream, gradients)
        self.descents[step].step(gradients)
        if raw.grad is not None:
            self.knob_descents[step].step([raw.grad])

    def _outcome(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """NLL and hits [R, K x B] of logits [K, P, C, B] and target [K, R, B]."""
        batches, runs, rows = target.shape
        classes = logits.shape[2]
        scores = Scores(runs, batches * rows, classes, dtype=self._dtype, device=self._device)
        seated = self._seated(logits, 1).permute(2, 1, 0, 3)
        scores.logits.view(classes, runs, batches, rows).copy_(seated)
        return scores.nll_and_hits(scores.labels(target.transpose(0, 1).flatten(1)))

    def _seated(self, values: Tensor, axis: int) -> Tensor:
        """Values without those of empty places."""
        return values.index_select(axis, self.places) if self._empty_places else values

    def _initialise(self, dataset: Dataset) -> None:
        """Give every member the initial weights of its seed."""
        model = self._specs[0].preset.model
        for seed, members in itertools.groupby(range(len(self._specs)), key=lambda member: self._specs[member].seed):
            network = models.build(model, dataset.shape, dataset.classes, seed=seed)
            layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
            places = self.places[list(members)]
            for mine, layer in zip(self.stack.weights, layers, strict=True):
                mine[places] = torch.cat([layer.weight.detach(), layer.bias.detach().unsqueeze(1)], 1).to(mine)

    def _descent(self) -> Descent:
        momentum = self._placed([spec.preset.optimizer.momentum for spec in self._specs])
        weight_decay = self._placed([spec.preset.optimizer.weight_decay for spec in self._specs])
        nesterov = self._specs[0].preset.optimizer.nesterov
        return Descent(self.stack.weights, momentum, weight_decay, nesterov=nesterov)

    def _knob_descent(self) -> Descent:
        """Learned knobs move like weights, but do not decay."""
        momentum = self._per_run([spec.preset.optimizer.momentum for spec in self._specs])
        nesterov = self._specs[0].preset.optimizer.nesterov
        return Descent([self.objective.raw.detach()], momentum, torch.zeros_like(momentum), nesterov=nesterov)

    def _set_lr(self, clock: Clock) -> None:
        lr = self.lr(clock)
        for descent, knob_descent in zip(self.descents, self.knob_descents, strict=True):
            descent.set_lr(self._placed(lr))
            knob_descent.set_lr(self.objective.learned_lr(self._per_run(lr)))

    def _numbers(self, values: Iterable[int]) -> Tensor:
        return torch.tensor(list(values), device=self._device)

    def _per_run(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    def _placed(self, values: Sequence[float]) -> Tensor:
        """Values [R] at their places [P], zero where nobody sits."""
        return self.places.new_zeros(self.stack.places, dtype=self._dtype).index_copy_(
            0, self.places, self._per_run(values)
        )

    def _block_length(self) -> int:
        per_batch = sum(layer.nbytes for layer in self.stack.weights) * self.objective.step_count
        return max(1, min(LONGEST_BLOCK, BLOCK_BYTES // per_batch, len(self._rows) // self._batch))

    def _buffers(self, batches: int, rows: int) -> _Buffers:
        """Memory for blocks of that many batches, each with that many real rows."""
        steps = batches * self.objective.step_count
        last = self.stack.weights[-1]
        places, classes = last.shape[:2]
        scores = Scores(len(self._specs), rows, classes, dtype=self._dtype, device=self._device)
        upstream = last.new_zeros(places, classes, self._batch)
        return _Buffers(
            last.new_zeros(steps, places, classes, self._batch),
            [layer.new_zeros(steps, *layer.shape) for layer in self.stack.weights],
            last.new_zeros(steps, len(self._specs), rows),
            upstream,
            upstream[:, :, :rows],
            scores,
            scores.residual.transpose(0, 1),
        )


def _learned_knobs(spec: RunSpec) -> int:
    _, sources = losses.sources(spec.loss)
    return sum(isinstance(source, losses.Learned) for source in sources.values())


def _seats(seeds: Sequence[int], per_group: int) -> tuple[list[int], list[int]]:
    """Seat runs, sorted by seed, so that the places of a group share one: seed of each group, place of each run."""
    group_seeds: list[int] = []
    places: list[int] = []
    for seed, runs in itertools.groupby(seeds):
        count = len(list(runs))
        first = len(group_seeds) * per_group
        places += range(first, first + count)
        group_seeds += [seed] * -(-count // per_group)
    return group_seeds, places


def _unbound(layers: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Layers [N, ...] as N tuples of layers."""
    return list(zip(*(layer.unbind() for layer in layers), strict=True))


def _norms(gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """l2 norms [N, P] of all gradients [N, P, out, in + 1] together and of the last layer's without its biases."""
    norm = torch.linalg.vector_norm
    *others, last = gradients
    weights = norm(norm(last[..., :-1], dim=-1), dim=-1)
    parts = [weights, norm(last[..., -1], dim=-1), *(norm(each.flatten(2), dim=-1) for each in others)]
    return torch.stack(parts).square_().sum(0).sqrt_(), weights


def _totals(values: Tensor) -> Tensor:
    """Sums [R] over everything but the first axis, each along a row of its own."""
    return values.flatten(1).contiguous().sum(1, dtype=torch.float64)
