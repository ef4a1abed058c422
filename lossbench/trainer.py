"""The loop: one network, one loss, one record per epoch.

A generator instead of callbacks: whoever iterates stores, draws, checkpoints and stops between two records. Nothing in
a step waits for the device; sums stay there until the epoch is over.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import SGD, Adam, AdamW, Optimizer

from lossbench import data, devices, metrics, models, schedules
from lossbench.compiling import Pass, compiled
from lossbench.data import Dataset
from lossbench.errors import UsageError
from lossbench.events import EpochMetrics
from lossbench.objective import Objective
from lossbench.randomness import seed_for
from lossbench.ranks import World
from lossbench.schedules import Clock
from lossbench.spec import OptimizerSpec, RunSpec
from lossbench.stopwatch import Stopwatch

__all__ = ["Trainer"]

EVALUATED_AT_ONCE = {"cpu": 64, "cuda": 2000}
"""Rows per evaluation batch: few enough for the caches of a processor, many enough to fill a GPU."""

NARROWEST = 16
"""Input channels from which oneDNN's strided 1x1 convolutions are safe with channels last."""

_HELD_OUT: tuple[Literal["val", "test"], ...] = ("val", "test")

PerSample = Callable[[Tensor, Tensor], Tensor]

Batch = list[tuple[Tensor, Tensor]]
"""What this process trains on of one batch: inputs [N, ...] and target [N] of each piece that passes alone."""


class Trainer:
    """A network in training. `epoch` counts finished epochs; `diverged` names the reason when training broke down."""

    def __init__(
        self,
        spec: RunSpec,
        dataset: Dataset,
        *,
        device: torch.device | str,
        compile: bool = False,
        watch: Stopwatch | None = None,
        world: World | None = None,
    ) -> None:
        """With `compile`, training passes over full batches are compiled code; `uncompiled` says why they are not.

        The ranks of a `world` each make a trainer of the same spec, and go through its epochs together.
        """
        preset = spec.preset
        self.spec = spec
        self.device = torch.device(device)
        self.dataset = dataset.to(self.device)
        self.epoch = 0
        self.diverged: dict[int, str] = {}
        self._world = world or World()
        self._layout = torch.channels_last if preset.channels_last else torch.contiguous_format
        self.model = models.build(preset.model, dataset.shape, dataset.classes, seed=spec.seed)
        if preset.channels_last:
            _check_layout(self.model, self.device)
        self.model.to(device=self.device, memory_format=self._layout)  # type: ignore[call-overload]
        _refuse_shares(self.model, len(dataset.train), spec, self._world)
        self.objective = Objective(spec.loss, target=dataset.train.target, classes=dataset.classes).to(self.device)
        self._weights = list(self.model.parameters())
        # A loss of several steps gives each its own optimizer, with its own momentum, as in the code of COT.
        self._optimizers = [
            _optimizer(preset.optimizer, self._groups(preset.optimizer.lr)) for _ in self.objective.steps(self._clock)
        ]
        self._schedule = schedules.parse(preset.optimizer.schedule)
        self._redrawn = {"best": -math.inf, "factor": 1.0}
        self._watch = watch or Stopwatch()
        self._compiled: Pass | None = None
        self.uncompiled = ""
        self._whole = len(self._world.pieces(torch.arange(preset.batch_size))[0])
        if compile and self._world.largest is not None:
            # What is captured as a graph leaves its gradients where the next piece would write over them.
            self.uncompiled = "gradients of several passes are summed"
        elif compile:
            self._compiled, self.uncompiled = compiled(self.model, self._example(), self._autocast)
        self._last_weight = [each for each in self.model.modules() if isinstance(each, nn.Linear)][-1].weight

    def state(self) -> dict[str, Any]:
        """Everything the remaining epochs depend on, copied to the CPU: plain containers, numbers and tensors."""
        member = {
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "compiled": self.compiled,
        }
        if self.spec.preset.optimizer.redraw:
            member["redrawn"] = dict(self._redrawn)
        return {"epoch": self.epoch, "members": [_copied(member)]}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a `state()` of a trainer of the same spec."""
        (member,) = state["members"]
        self.epoch = state["epoch"]
        self.model.load_state_dict(member["model"])
        self.objective.load_state_dict(member["objective"])
        for optimizer, saved in zip(self._optimizers, member["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._redrawn = member.get("redrawn", self._redrawn)
        if not member.get("compiled"):
            self._compiled = None  # what was computed without goes on without, for the same numbers

    def epochs(self, stop: Callable[[], bool] = lambda: False) -> Iterator[dict[int, EpochMetrics]]:
        """Train to the end, one record per finished epoch, as the only member 0.

        Once `stop()` is true, on any rank, the epoch under way is abandoned after the present batch: it is not
        reported, and the trainer must be loaded from an earlier state before it is used again.
        """
        while self.epoch < self.spec.preset.epochs and not self.diverged:
            values = self._train_epoch(self._clock, stop)
            if values is None:
                return
            self.epoch += 1
            broken = next((name for name, value in values.items() if not math.isfinite(value)), None)
            if broken is not None:
                self.diverged[0] = f"{broken} became {values[broken]} in epoch {self.epoch}"
                return
            self._redraw(values)
            yield {0: EpochMetrics(epoch=self.epoch, values=values)}

    def predictions(self) -> dict[int, dict[str, list[Any]]]:
        """What the network now says of every test row, as columns of `PredictionsKept`."""
        return {0: metrics.predictions(self._logits("test", World()), self.dataset.test.target)}

    @property
    def compiled(self) -> bool:
        """Whether training passes are compiled code."""
        return self._compiled is not None

    @property
    def arithmetic(self) -> dict[str, Any]:
        """Which of the ways to the same numbers, up to rounding, training and evaluation take; for the record."""
        return {"compiled": self.compiled, "uncompiled": self.uncompiled, "folded": len(models.folds(self.model))}

    @property
    def _clock(self) -> Clock:
        return Clock(epoch=self.epoch, epochs=self.spec.preset.epochs)

    def _redraw(self, values: Mapping[str, float]) -> None:
        """Take another learning rate where the recipe does so whenever a split's accuracy has not risen."""
        split = self.spec.preset.optimizer.redraw
        if not split:
            return
        if values[f"{split}/top1_acc"] > self._redrawn["best"]:
            self._redrawn["best"] = values[f"{split}/top1_acc"]
        else:
            uniform = random.Random(seed_for(self.spec.seed, "redraw", self.epoch)).random()
            self._redrawn["factor"] = uniform**3

    def _groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": self._weights, "lr": lr}, *self.objective.param_groups(lr)]

    def _train_epoch(self, clock: Clock, stop: Callable[[], bool]) -> dict[str, float] | None:
        preset, rows = self.spec.preset, len(self.dataset.train)
        lr = preset.optimizer.lr * self._schedule(clock) * self._redrawn["factor"]
        for optimizer in self._optimizers:
            for group, wanted in zip(optimizer.param_groups, self._groups(lr), strict=True):
                group["lr"] = wanted["lr"]
        steps = self.objective.steps(clock)
        sums = torch.zeros(5, dtype=torch.float64, device=self.device)
        count = 0
        devices.wait(self.device)
        devices.begin_peak(self.device)
        idle = devices.Idle(self.device)
        began = time.perf_counter()
        self.model.train()
        with self._dropout_stream(clock.epoch):
            for length, batch, blended in self._batches(clock.epoch, idle):
                if self._world.any(stop()):
                    return None
                sums += self._train_batch(batch, tuple(blended(step) for step in steps), length)
                count += len(steps)
        devices.wait(self.device)
        trained = time.perf_counter() - began
        self._world.add([sums[:3]])
        objective, nll, hits, gnorm_all, gnorm_last = sums
        measured = {
            "train/objective": objective / rows,
            "train/nll": nll / rows,
            "train/top1_acc": hits / rows,
            "train/gnorm_all": gnorm_all / count,
            "train/gnorm_last": gnorm_last / count,
            "train/wnorm_all": get_total_norm([weight.detach() for weight in self._weights]),
        }
        with self._watch.phase("evaluation"):
            self._world.average(_running_statistics(self.model))
            for split in _HELD_OUT:
                held_out = self.dataset.split(split)
                if held_out is not None:
                    evaluated = metrics.evaluate(self._logits(split, self._world), held_out.target)
                    measured |= {f"{split}/{name}": value for name, value in evaluated.items()}
            # The one transfer of the epoch, and the one moment that waits for the device.
            numbers = self._world.first(torch.stack([value.double() for value in measured.values()])).tolist()
        return {
            **dict(zip(measured, numbers, strict=True)),
            "train/lr": lr,
            "train/seconds": time.perf_counter() - began,
            "train/samples_per_second": rows / trained,
            "train/data_stall": idle.seconds / trained,
            "train/peak_mem_mib": devices.peak_mib(self.device),
            **{f"loss/{knob}": value for knob, value in self.objective.values(clock).items()},
        }

    def _batches(self, epoch: int, idle: devices.Idle) -> Iterator[tuple[int, Batch, Callable[[PerSample], PerSample]]]:
        """Of each batch of an epoch the number of rows on all ranks, what is trained of them here, and what blending,
        where the recipe has it, makes of a loss."""
        preset, address = self.spec.preset, {"seed": self.spec.seed, "epoch": epoch}
        made = data.batches(
            self.dataset, preset.data, preset.batch_size, **address, device=self.device, pieces=self._world.pieces
        )
        pieces = idle.awaiting(self._watch.each("data", made))
        for number, rows in enumerate(torch.split(torch.arange(len(self.dataset.train)), preset.batch_size)):
            batch = list(islice(pieces, len(self._world.pieces(rows))))
            inputs, target = batch[0]
            mixture = data.mix(inputs, target, preset.data, **address, batch=number)
            if mixture is None:
                yield len(rows), batch, lambda step: step
            else:
                yield len(rows), [(mixture.inputs, target)], mixture.over

    def _train_batch(self, batch: Batch, steps: tuple[PerSample, ...], rows: int) -> Tensor:
        """One update per step of the loss, by its mean over the rows of the batch on all ranks.

        Returns:
            Sums over this rank's rows of the loss (all steps), the NLL and the hits before the first update, and sums
            over steps of the gradient norms of all weights and of the last layer [5].
        """
        objective = nll = hits = norm_all = norm_last = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, (step, optimizer) in enumerate(zip(steps, self._optimizers, strict=True)):
            optimizer.zero_grad()
            for inputs, target in batch:
                with self._watch.phase("forward"):
                    logits = self._forward(self._trained(inputs), inputs)
                with self._watch.phase("loss"):
                    losses = step(logits, target)
                    mean = losses.mean() if len(target) == rows else losses.sum() / rows
                    objective = objective + losses.detach().sum(dtype=torch.float64)
                    if number == 0:
                        seen = logits.detach().float()
                        nll = nll - seen.log_softmax(-1).gather(1, target.unsqueeze(1)).sum(dtype=torch.float64)
                        hits = hits + (seen.argmax(1) == target).sum(dtype=torch.float64)
                with self._watch.phase("backward"):
                    mean.backward()  # type: ignore[no-untyped-call]
            with self._watch.phase("optimiser"):
                gradients = [weight.grad for weight in self._weights if weight.grad is not None]
                learned = [knob.grad for knob in self.objective.parameters() if knob.grad is not None]
                self._world.add([*gradients, *learned])
                norm_all = norm_all + get_total_norm(gradients)
                norm_last = norm_last + torch.linalg.vector_norm(self._last_weight.grad)
                optimizer.step()
        return torch.stack([objective, nll, hits, norm_all, norm_last])

    def _trained(self, inputs: Tensor) -> Pass:
        """What these inputs go through in training."""
        # Shorter batches go without: each shape would be compiled for itself.
        fast = self._compiled if len(inputs) == self._whole else None
        return self.model if fast is None else fast  # torch's compiled modules have no truth value

    def _forward(self, network: Pass, inputs: Tensor) -> Tensor:
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self._layout)
        with self._autocast():
            return network(inputs)

    def _example(self) -> Tensor:
        """A batch as training sees it, in shape and layout."""
        each = data.batches(self.dataset, self.spec.preset.data, self._whole, seed=0, epoch=0, device=self.device)
        inputs, _ = next(each)
        return inputs.contiguous(memory_format=self._layout) if inputs.ndim == 4 else inputs

    @torch.inference_mode()
    def _logits(self, split: Literal["val", "test"], world: World) -> Tensor:
        """The network's logits for every row of a split, in evaluation mode, each rank computing some [D, C]."""
        network = models.folded(self.model.eval())
        held_out = self.dataset.split(split)
        rows = 0 if held_out is None else len(held_out)
        batches = data.evaluation_batches(
            self.dataset,
            split,
            self.spec.preset.data,
            device=self.device,
            batch_size=EVALUATED_AT_ONCE[self.device.type],
            part=world.part(rows),
        )
        mine = [self._forward(network, inputs).float() for inputs, _ in batches]
        nothing = torch.empty(0, self.dataset.classes, device=self.device)
        return world.gathered(torch.cat(mine or [nothing]), rows)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.preset.precision == "bf16")

    @contextmanager
    def _dropout_stream(self, epoch: int) -> Iterator[None]:
        """Dropout draws from the global generators; within the block they are those of seed, epoch and rank."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            address = (epoch, self._world.rank) if self._world.rank else (epoch,)
            torch.manual_seed(seed_for(self.spec.seed, "dropout", *address))
            yield


def _refuse_shares(model: nn.Module, rows: int, spec: RunSpec, world: World) -> None:
    """Raise where a batch cannot be shared out to the ranks, or a pass of one row would reach a layer that normalises
    features over the rows of a pass."""
    size, mixing = spec.preset.batch_size, spec.preset.data.mixup or spec.preset.data.cutmix
    if mixing and (world.size > 1 or world.largest is not None):
        raise UsageError(
            "mixup and CutMix blend the pictures of a whole batch, which has to be on one device in one piece; "
            "leave out --devices and --batch-per-device"
        )
    normalises = any(isinstance(each, nn.BatchNorm1d) for each in model.modules())
    for which, batch in (("every batch", size), ("the last batch of an epoch", rows % size)):
        if 0 < batch < world.size:
            raise UsageError(
                f"{which} has {batch} rows, fewer than the {world.size} devices; take fewer devices, another "
                "batch_size, or another data.limit"
            )
        passes = [World(rank, world.size, world.largest).pieces(torch.arange(batch)) for rank in range(world.size)]
        if normalises and any(len(piece) == 1 for pieces in passes for piece in pieces):
            where = which if world == World() else f"{which} on some device"
            raise UsageError(
                f"{where} would have one row, which the batch normalisation of model {spec.preset.model.name} cannot "
                f"take: {rows} training rows, batch_size={size}; take another batch_size, or a data.limit one row away"
            )


def _running_statistics(model: nn.Module) -> list[Tensor]:
    """What batch normalisation has seen, which on each rank is its own share."""
    layers = [each for each in model.modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)]
    return [buffer for each in layers for buffer in each.buffers() if buffer.is_floating_point()]


def _check_layout(model: nn.Module, device: torch.device) -> None:
    """
    Raises:
        UsageError: the backward pass would write past its memory: oneDNN does so for strided 1x1 convolutions of few
            channels that come last (oneDNN issue 6035).
    """
    for each in model.modules() if device.type == "cpu" else ():
        if not isinstance(each, nn.Conv2d) or each.kernel_size != (1, 1) or max(each.stride) == 1:
            continue
        if each.in_channels < NARROWEST:
            raise UsageError(
                f"channels_last=true crashes on the CPU with a strided 1x1 convolution of {each.in_channels} channels, "
                f"fewer than {NARROWEST}; use channels_last=false"
            )


def _optimizer(spec: OptimizerSpec, groups: list[dict[str, Any]]) -> Optimizer:
    match spec.name:
        case "sgd":
            return SGD(
                groups, momentum=spec.momentum, nesterov=spec.nesterov, weight_decay=spec.weight_decay, fused=True
            )
        case "adam":
            return Adam(groups, weight_decay=spec.weight_decay, fused=True)
        case "adamw":
            return AdamW(groups, weight_decay=spec.weight_decay, fused=True)


def _copied(value: Any) -> Any:
    match value:
        case Tensor():
            return value.detach().to("cpu", copy=True)
        case dict():
            return {name: _copied(each) for name, each in value.items()}
        case list() | tuple():
            return type(value)(_copied(each) for each in value)
        case _:
            return value
