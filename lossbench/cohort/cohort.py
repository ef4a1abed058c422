"""A cohort: runs of one small network that differ in loss, seed and the optimiser's numbers."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from lossbench import devices, metrics
from lossbench.cohort._network import Network
from lossbench.cohort._program import Program
from lossbench.cohort._rows import features
from lossbench.cohort.planning import widths
from lossbench.data import Dataset
from lossbench.errors import UsageError
from lossbench.events import EpochMetrics
from lossbench.schedules import Clock
from lossbench.spec import RunSpec
from lossbench.stopwatch import Stopwatch

__all__ = ["Cohort"]

MEASURED_LOGITS = 2**17
"""Logits that are measured at once: enough to be worth a call for each metric, few enough for the cache."""

_HELD_OUT: tuple[Literal["val", "test"], ...] = ("val", "test")


class Cohort:
    """Runs in training. `epoch` counts finished epochs; `diverged` names the members that broke down, and why.

    Members are numbered from 0 in the order of `specs`. Large networks train in several programs of as many runs as
    fit into the cache, one after the other within each epoch; nobody's numbers depend on the division.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        dataset: Dataset,
        *,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        watch: Stopwatch | None = None,
        network: type[Network] | None = None,
    ) -> None:
        """All specs must agree as `plan` requires; float64 as `dtype`, and another `network` than the device's own, are
        for checks of the arithmetic.

        Raises:
            UsageError: the rows are not in memory.
        """
        if dataset.pictures is not None:
            raise UsageError(
                f"model {specs[0].preset.model.name} takes rows in memory; {dataset.name} is read from files"
            )
        self.specs = list(specs)
        self.device = torch.device(device)
        self.dataset = dataset.to(self.device)
        self.epoch = 0
        self.diverged: dict[int, str] = {}
        self._watch = watch or Stopwatch()
        preset = self.specs[0].preset
        self._preset = preset
        network = network or _network(self.device)
        self._held_out = {
            split: network.held_out(features(self.dataset, split, preset.data, dtype))
            for split in _HELD_OUT
            if self.dataset.split(split) is not None
        }
        layers = widths(preset.model, math.prod(dataset.shape), dataset.classes)
        if layers is None:
            raise ValueError(f"model {preset.model.name} is no stack of linear layers")
        rows = network.training(features(self.dataset, "train", preset.data, dtype), self.dataset.train.target)
        weights = sum((inputs + 1) * outputs for inputs, outputs in pairwise(layers))
        self._parts = network.divide(self.specs, max(1, network.cache_bytes // (2 * weights * dtype.itemsize)))
        self._programs = [
            Program([self.specs[member] for member in part], self.dataset, rows, layers, network, dtype=dtype)
            for part in self._parts
        ]

    def state(self) -> dict[str, Any]:
        """Everything the remaining epochs depend on, copied to the CPU: plain containers, numbers and tensors."""
        members: list[dict[str, Any]] = [{}] * len(self.specs)
        for part, program in zip(self._parts, self._programs, strict=True):
            for member, saved in zip(part, program.state(), strict=True):
                members[member] = saved
        return {"epoch": self.epoch, "members": members}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a `state()` whose members have these specs, whoever trained beside them then."""
        self.epoch = state["epoch"]
        for part, program in zip(self._parts, self._programs, strict=True):
            program.load([state["members"][member] for member in part])

    def epochs(self, stop: Callable[[], bool] = lambda: False) -> Iterator[dict[int, EpochMetrics]]:
        """Train to the end, one record per finished epoch and member; a diverged member is absent from then on.

        Once `stop()` is true the epoch under way is abandoned: it is not reported, and the cohort must be loaded from
        an earlier state before it is used again.
        """
        while self.epoch < self._preset.epochs and len(self.diverged) < len(self.specs):
            with _plainly(self.device):
                records = self._train_epoch(Clock(epoch=self.epoch, epochs=self._preset.epochs), stop)
            if records is None:
                return
            self.epoch += 1
            for member, values in records.items():
                if not all(map(math.isfinite, values.values())):
                    broken = next(name for name, value in values.items() if not math.isfinite(value))
                    self.diverged.setdefault(member, f"{broken} became {values[broken]} in epoch {self.epoch}")
            yield {
                member: EpochMetrics(epoch=self.epoch, values=records[member])
                for member in sorted(records)
                if member not in self.diverged
            }

    def predictions(self) -> dict[int, dict[str, list[Any]]]:
        """What the networks now say of every test row, as columns of `PredictionsKept`."""
        columns = {}
        target = self.dataset.test.target
        with _plainly(self.device):
            for part, program in zip(self._parts, self._programs, strict=True):
                for member, logits in zip(part, program.logits(self._held_out["test"], len(target)), strict=True):
                    if member not in self.diverged:
                        columns[member] = metrics.predictions(logits, target)
        return columns

    def _train_epoch(self, clock: Clock, stop: Callable[[], bool]) -> dict[int, dict[str, float]] | None:
        records: dict[int, dict[str, float]] = {}
        devices.wait(self.device)
        devices.begin_peak(self.device)
        for part, program in zip(self._parts, self._programs, strict=True):
            began = time.perf_counter()
            with self._watch.phase("training"):
                measured = program.train(clock, stop)
            if measured is None:
                return None
            devices.wait(self.device)
            trained = (time.perf_counter() - began) / len(part)
            with self._watch.phase("evaluation"):
                for split, inputs in self._held_out.items():
                    held_out = self.dataset.split(split)
                    assert held_out is not None
                    evaluated = _evaluate(program.logits(inputs, len(held_out)), held_out.target)
                    measured |= {f"{split}/{name}": value for name, value in evaluated.items()}
                # The one transfer of the epoch, and the one moment that waits for the device.
                numbers = torch.stack([value.double() for value in measured.values()], 1).tolist()
            shared = {
                # The runs of a program share its time equally, so that seconds add up to what was spent.
                "train/seconds": (time.perf_counter() - began) / len(part),
                "train/samples_per_second": len(self.dataset.train) / trained,
                "train/peak_mem_mib": devices.peak_mib(self.device),
            }
            each = zip(part, numbers, program.lr(clock), program.objective.values(clock), strict=True)
            for member, row, lr, knobs in each:
                own = {f"loss/{knob}": value for knob, value in knobs.items()}
                records[member] = {**dict(zip(measured, row, strict=True)), "train/lr": lr, **shared, **own}
        return records


def _network(device: torch.device) -> type[Network]:
    """What computes on that device."""
    if device.type == "cpu":
        # A compiler comes along, which nobody else has to wait for.
        from lossbench.cohort._compiled import CompiledNetwork

        return CompiledNetwork
    from lossbench.cohort._stacked import StackedNetwork

    return StackedNetwork


def _evaluate(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Every metric of runs' logits [R, D, C], some runs at a time."""
    at_once = max(1, MEASURED_LOGITS // logits[0].numel())
    parts = [metrics.evaluate(each, target) for each in torch.split(logits, at_once)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@contextmanager
def _plainly(device: torch.device) -> Iterator[None]:
    """Within the block nothing is recorded for autograd, and the CPU computes on one thread: batches are too small to
    share out, and where a tensor is cut for a second thread would depend on how many runs there are."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
