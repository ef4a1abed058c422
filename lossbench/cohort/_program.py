"""Runs of one network shape in training.

Members keep their own seeds, losses and optimiser numbers. A run's numbers are the same bit for bit on the CPU
whoever trains beside it: products have shapes of their own (see `_stack`), elementwise kernels are among those whose
result does not depend on where in a tensor a number stands, and every sum goes along one run's own numbers.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lossbench import losses, models, schedules
from lossbench.cohort._block import BATCHES, RECORDED, Block, norms
from lossbench.cohort._descent import Descent
from lossbench.cohort._rows import Rows
from lossbench.cohort._seats import Seats
from lossbench.cohort._stack import Stack, aligned, places_per_group
from lossbench.data import Dataset
from lossbench.objective import CohortObjective, Kinds
from lossbench.schedules import Clock
from lossbench.spec import RunSpec

__all__ = ["Program"]

EVALUATION_ROWS = 1024


class Program:
    """R runs trained together, in the order of `specs`: sorted by seed, equally many of each seed, and all of them with
    weight decay or none."""

    def __init__(
        self, specs: Sequence[RunSpec], dataset: Dataset, rows: Rows, widths: Sequence[int], *, dtype: torch.dtype
    ) -> None:
        preset = specs[0].preset
        self._specs = specs
        self._rows = rows
        self._batch = min(preset.batch_size, len(rows))
        self._widths = widths
        self._device = rows.inputs.device
        self._dtype = dtype
        self._seats = Seats.of([spec.seed for spec in specs], places_per_group(widths))
        self._places = self._seats.per_run(torch.arange(self._seats.places, device=self._device), 0)
        self.stack = Stack(widths, self._seats.places // self._seats.group_size, dtype=dtype, device=self._device)
        self._initialise(dataset)
        self.objective = CohortObjective(
            [spec.loss for spec in specs], target=dataset.train.target, classes=dataset.classes
        ).to(device=self._device, dtype=dtype)
        self._raw = self.objective.raw
        self._knobs = [_learned_knobs(spec) for spec in specs]
        self._schedules = [schedules.parse(spec.preset.optimizer.schedule) for spec in specs]
        # A loss of several steps gives each its own momentum, as in the code of COT.
        self.descents = [self._descent() for _ in range(self.objective.step_count)]
        self.knob_descents = [self._knob_descent() for _ in range(self.objective.step_count)]
        self._hidden = self.stack.hidden(aligned(self._batch))
        self._full = self._block(min(BATCHES, len(rows) // self._batch), self._batch)
        self._tail = self._block(1, len(rows) % self._batch)

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
        blocks = self._rows.blocks(self._seats.seeds, clock.epoch, batch=self._batch, length=BATCHES)
        for visits, count in blocks:
            if stop():
                return None
            sums += self._train_block(visits, count, clock)
        rows, steps = len(self._rows), -(-len(self._rows) // self._batch) * self.objective.step_count
        objective, nll, hits, norm_all, norm_last = sums.unbind(1)
        (norm,) = self._seats.per_run(norms([layer.unsqueeze(0) for layer in self.stack.weights])[0], 1)
        return {
            "train/objective": objective / rows,
            "train/nll": nll / rows,
            "train/top1_acc": hits / rows,
            "train/gnorm_all": norm_all / steps,
            "train/gnorm_last": norm_last / steps,
            "train/wnorm_all": norm.double(),
        }

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits [R, D, C] of inputs [D, columns]."""
        pieces = []
        for part in torch.split(pad(inputs, (0, 0, 0, aligned(len(inputs)) - len(inputs))), EVALUATION_ROWS):
            shared = part.expand(self.stack.groups, -1, -1)
            made = self.stack.forward(shared, self.stack.hidden(len(part)))
            pieces.append(self._seats.per_run(made, 0).transpose(1, 2))
        return torch.cat(pieces, 1)[:, : len(inputs)]

    def state(self) -> list[dict[str, Any]]:
        """What each member's remaining epochs depend on, as views of one copy on the CPU."""
        weights = self._saved(self.stack.weights)
        velocities = [self._saved(descent.velocity) for descent in self.descents]
        raw = self._raw.detach().to("cpu", copy=True)
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
        for run, (place, saved) in enumerate(zip(self._places.tolist(), members, strict=True)):
            pairs = [(self.stack.weights, saved["weights"])]
            pairs += [(mine.velocity, theirs) for mine, theirs in zip(self.descents, saved["velocities"], strict=True)]
            for layers, values in pairs:
                for layer, value in zip(layers, values, strict=True):
                    layer[place, :, : value.shape[1] - 1] = value[:, :-1].to(layer)
                    layer[place, :, -1] = value[:, -1].to(layer)
            knobs = self._knobs[run]
            self._raw.detach()[run, :knobs] = saved["raw"].to(self._raw)
            for descent, value in zip(self.knob_descents, saved["raw_velocities"], strict=True):
                descent.velocity[0][run, :knobs] = value.to(self._raw)

    def _saved(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """Members' layers [R, out, in + 1], without the columns that only fill up."""
        pairs = zip(layers, self._widths, strict=False)
        return [torch.cat([layer[..., :inputs], layer[..., -1:]], -1)[self._places].cpu() for layer, inputs in pairs]

    def _train_block(self, visits: Tensor, count: int, clock: Clock) -> Tensor:
        """Train on batches [S, K, B] of which the first `count` rows are real; sums of the recorded values [R, 5]."""
        block = self._full if count == self._batch else self._tail
        inputs = self._rows.inputs[visits.repeat_interleave(self._seats.groups, 0).transpose(0, 1)]
        target = self._rows.target[visits[:, :, :count].repeat_interleave(self._seats.each, 0).transpose(0, 1)]
        kinds = self.objective.kinds(clock, self._dtype)
        losses: list[Tensor] = []
        for batch, labels in zip(inputs.unbind(), block.scores.labels(target).unbind(), strict=True):
            for step in range(self.objective.step_count):
                losses.append(self._train_step(batch, labels, kinds, step, block, len(losses)))
        return block.sums(losses, target, self.objective.step_count)

    def _train_step(self, inputs: Tensor, labels: Tensor, kinds: Kinds, step: int, block: Block, at: int) -> Tensor:
        """Move every run by one batch; the losses [R, B]."""
        gradients = block.gradients()
        self.stack.forward(inputs, self._hidden, block.logits[at])
        block.logits_by_seed.copy_(block.seated[at])
        losses = self.objective.differentiate(block.scores, labels, kinds, step=step, out=block.upstream_by_seed)
        self.stack.backward(inputs, self._hidden, block.upstream, gradients)
        self.descents[step].step(gradients)
        if self._raw.grad is not None:
            self.knob_descents[step].step([self._raw.grad])
            self._raw.grad = None
        return losses

    def _initialise(self, dataset: Dataset) -> None:
        """Give every member the initial weights of its seed."""
        model = self._specs[0].preset.model
        for seed, members in itertools.groupby(range(len(self._specs)), key=lambda member: self._specs[member].seed):
            network = models.build(model, dataset.shape, dataset.classes, seed=seed)
            layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
            places = self._places[list(members)]
            for mine, layer in zip(self.stack.weights, layers, strict=True):
                mine[places, :, : layer.in_features] = layer.weight.detach().to(mine)
                mine[places, :, -1] = layer.bias.detach().to(mine)

    def _descent(self) -> Descent:
        momentum = self._placed([spec.preset.optimizer.momentum for spec in self._specs])
        decay = [spec.preset.optimizer.weight_decay for spec in self._specs]
        weight_decay = self._placed(decay) if any(decay) else None
        nesterov = self._specs[0].preset.optimizer.nesterov
        return Descent(self.stack.weights, momentum, weight_decay, nesterov=nesterov)

    def _knob_descent(self) -> Descent:
        """Learned knobs move like weights, but do not decay."""
        momentum = self._per_run([spec.preset.optimizer.momentum for spec in self._specs])
        nesterov = self._specs[0].preset.optimizer.nesterov
        return Descent([self._raw.detach()], momentum, None, nesterov=nesterov)

    def _set_lr(self, clock: Clock) -> None:
        lr = self.lr(clock)
        for descent, knob_descent in zip(self.descents, self.knob_descents, strict=True):
            descent.set_lr(self._placed(lr))
            knob_descent.set_lr(self.objective.learned_lr(self._per_run(lr)))

    def _per_run(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    def _placed(self, values: Sequence[float]) -> Tensor:
        """Values [R] at their places [P], zero where nobody sits."""
        return self._places.new_zeros(self.stack.places, dtype=self._dtype).index_copy_(
            0, self._places, self._per_run(values)
        )

    def _block(self, batches: int, rows: int) -> Block:
        """Memory for that many batches, each with that many real rows."""
        return Block(
            self.stack, self._seats, steps=batches * self.objective.step_count, batch=aligned(self._batch), rows=rows
        )


def _learned_knobs(spec: RunSpec) -> int:
    _, sources = losses.sources(spec.loss)
    return sum(isinstance(source, losses.Learned) for source in sources.values())
