"""Runs of one network shape in training, with seeds, losses and optimiser numbers of their own."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import losses, models, schedules
from lossbench.cohort._descent import Descent
from lossbench.cohort._network import RECORDED, Network, Shape
from lossbench.cohort._rows import Rows
from lossbench.data import Dataset
from lossbench.objective import CohortObjective, Scores
from lossbench.schedules import Clock
from lossbench.spec import RunSpec

__all__ = ["Program"]

BATCHES = 32
"""Batches between two looks at whether to stop. Their number must not depend on the runs, since sums of sums round as
they are divided."""


class Program:
    """R runs trained together, in the order of `specs`, which must be one that the network divides into."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        dataset: Dataset,
        rows: Rows,
        widths: Sequence[int],
        network: type[Network],
        *,
        dtype: torch.dtype,
    ) -> None:
        self._specs = specs
        self._rows = rows
        self._device = rows.inputs.device
        self._dtype = dtype
        self.objective = CohortObjective(
            [spec.loss for spec in specs], target=dataset.train.target, classes=dataset.classes
        ).to(device=self._device, dtype=dtype)
        self._raw = self.objective.raw
        self._knobs = [_learned_knobs(spec) for spec in specs]
        self._schedules = [schedules.parse(spec.preset.optimizer.schedule) for spec in specs]
        optimizers = [spec.preset.optimizer for spec in specs]
        momentum = [each.momentum for each in optimizers]
        nesterov = optimizers[0].nesterov
        # A loss of several steps gives each its own momentum, as in the code of COT.
        steps = self.objective.step_count
        self._shape = Shape(
            widths=widths,
            batch=min(specs[0].preset.batch_size, rows.count),
            steps=steps,
            nesterov=nesterov,
            dtype=dtype,
            device=self._device,
        )
        seeds = [spec.seed for spec in specs]
        self._seeds = tuple(dict.fromkeys(seeds))
        self._network = network(self._shape, rows, seeds, momentum, [each.weight_decay for each in optimizers])
        self._initialise(dataset)
        # Learned knobs move like weights, but do not decay.
        self._knob_descents = [
            Descent([self._raw.detach()], self._per_run(momentum), None, nesterov=nesterov) for _ in range(steps)
        ]

    def lr(self, clock: Clock) -> list[float]:
        """Learning rate of each member in that epoch."""
        pairs = zip(self._specs, self._schedules, strict=True)
        return [spec.preset.optimizer.lr * schedule(clock) for spec, schedule in pairs]

    def train(self, clock: Clock, stop: Callable[[], bool]) -> dict[str, Tensor] | None:
        """One epoch of every member; None when `stop` came true on the way.

        Returns:
            Training values of the record, float64 [R] each.
        """
        lr = self.lr(clock)
        self._network.set_lr(lr)
        for descent in self._knob_descents:
            descent.set_lr(self.objective.learned_lr(self._per_run(lr)))

        @functools.cache
        def bind(scores: Scores) -> Callable[[int], None]:
            differentiate = self.objective.bound(scores, clock)
            return lambda step: self._learn(differentiate, step)

        sums = torch.zeros(len(self._specs), RECORDED, dtype=torch.float64, device=self._device)
        for visits in self._rows.blocks(self._seeds, clock.epoch, batch=self._shape.batch, length=BATCHES):
            if stop():
                return None
            sums += self._network.train(visits, bind)
        rows, steps = self._rows.count, -(-self._rows.count // self._shape.batch) * self._shape.steps
        objective, nll, hits, norm_all, norm_last = sums.unbind(1)
        return {
            "train/objective": objective / rows,
            "train/nll": nll / rows,
            "train/top1_acc": hits / rows,
            "train/gnorm_all": norm_all / steps,
            "train/gnorm_last": norm_last / steps,
            "train/wnorm_all": _norm(self._network.layers()),
        }

    def logits(self, rows: Tensor, count: int) -> Tensor:
        """Logits [R, D, C] of the first `count` of rows that the network has arranged."""
        return self._network.logits(rows, count)

    def state(self) -> list[dict[str, Any]]:
        """What each member's remaining epochs depend on, as views of one copy on the CPU."""
        weights = [layer.cpu() for layer in self._network.layers()]
        velocities = [[layer.cpu() for layer in layers] for layers in self._network.velocities()]
        raw = self._raw.detach().to("cpu", copy=True)
        raw_velocities = [descent.velocity[0].to("cpu", copy=True) for descent in self._knob_descents]
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
        for run, saved in enumerate(members):
            self._network.put(run, saved["weights"], saved["velocities"])
            knobs = self._knobs[run]
            self._raw.detach()[run, :knobs] = saved["raw"].to(self._raw)
            for descent, value in zip(self._knob_descents, saved["raw_velocities"], strict=True):
                descent.velocity[0][run, :knobs] = value.to(self._raw)

    def _learn(self, differentiate: Callable[[int], None], step: int) -> None:
        """Make losses and factors, and move the learned knobs of the losses."""
        differentiate(step)
        if self._raw.grad is not None:
            self._knob_descents[step].step([self._raw.grad])
            self._raw.grad = None

    def _initialise(self, dataset: Dataset) -> None:
        """Give every member the initial weights of its seed."""
        model = self._specs[0].preset.model
        by_seed = sorted(range(len(self._specs)), key=lambda member: self._specs[member].seed)
        for seed, members in itertools.groupby(by_seed, key=lambda member: self._specs[member].seed):
            network = models.build(model, dataset.shape, dataset.classes, seed=seed)
            linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
            layers = [torch.cat([layer.weight, layer.bias.unsqueeze(1)], 1).detach() for layer in linear]
            for member in members:
                self._network.put(member, layers)

    def _per_run(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)


def _learned_knobs(spec: RunSpec) -> int:
    _, sources = losses.sources(spec.loss)
    return sum(isinstance(source, losses.Learned) for source in sources.values())


def _norm(layers: Sequence[Tensor]) -> Tensor:
    """l2 norms [R] of all weights, each along a row of its own."""
    flat = torch.cat([layer.flatten(1) for layer in layers], 1).double()
    return flat.square_().sum(1).sqrt_()
