"""The objective of one run."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import losses
from lossbench.errors import UsageError
from lossbench.losses import Fixed, FromData, Scheduled
from lossbench.objective._kinds import learned_of
from lossbench.schedules import Clock
from lossbench.spec import LossRef

__all__ = ["Objective", "Step", "check"]

Step = Callable[[Tensor, Tensor], Tensor]
"""`(logits [N, C], target [N]) -> loss per sample [N]`."""


def check(ref: LossRef, *, epochs: int, classes: int) -> None:
    """Refuse a loss that this many epochs or classes cannot serve.

    Raises:
        UsageError: a schedule would leave a phase empty, or there are too few classes.
    """
    entry, sources = losses.sources(ref)
    if classes < entry.fewest_classes:
        raise UsageError(f"{entry.name} needs at least {entry.fewest_classes} classes, the data have {classes}")
    for knob, source in sources.items():
        if isinstance(source, Scheduled) and source.schedule.shortest > epochs:
            raise UsageError(
                f"{ref}: {knob}={source} needs at least {source.schedule.shortest} epochs to leave no phase empty, "
                f"got {epochs}"
            )


class Objective(nn.Module):
    """One loss with everything it needs but logits and target: knob values, learned parameters, class counts."""

    def __init__(self, ref: LossRef, *, target: Tensor, classes: int) -> None:
        """`target` are the training targets [D], from which class counts come."""
        super().__init__()
        self._loss, self._sources = losses.sources(ref)
        self._learned = learned_of(self._sources)
        self._total = losses.softmax_total(self._learned)
        self.raw = nn.ParameterDict(
            {knob: nn.Parameter(torch.tensor(losses.raw_of(source))) for knob, source in self._learned.items()}
        )
        for knob, source in self._sources.items():
            if isinstance(source, FromData):
                self.register_buffer(knob, source.read(target, classes), persistent=False)

    def steps(self, clock: Clock) -> tuple[Step, ...]:
        """The loss functions of this epoch, one per forward pass, in float32 or wider whatever the autocast."""
        settled = {
            knob: losses.value_at(source, clock)
            for knob, source in self._sources.items()
            if isinstance(source, Fixed | Scheduled)
        }
        return tuple(self._bound(step, settled) for step in self._loss.steps)

    def param_groups(self, lr: float) -> list[dict[str, Any]]:
        """Optimizer groups of the learned knobs: their own learning rate where they have one, no weight decay."""
        return [
            {"params": [self.raw[knob]], "lr": lr if source.lr is None else source.lr, "weight_decay": 0.0}
            for knob, source in self._learned.items()
        ]

    def values(self, clock: Clock) -> dict[str, float]:
        """The values of the scheduled and learned knobs in this epoch."""
        scheduled = {
            knob: float(losses.value_at(source, clock) or 0.0)
            for knob, source in self._sources.items()
            if isinstance(source, Scheduled)
        }
        return scheduled | {knob: float(value.detach()) for knob, value in self._learned_values().items()}

    def _learned_values(self) -> dict[str, Tensor]:
        return losses.values_of(dict(self.raw.items()), self._learned, self._total) if self._learned else {}

    def _bound(self, step: losses.LossFunction, settled: Mapping[str, Any]) -> Step:
        from_data = {knob for knob, source in self._sources.items() if isinstance(source, FromData)}

        def function(logits: Tensor, target: Tensor) -> Tensor:
            fed = {knob: getattr(self, knob) for knob in from_data}
            values = {**settled, **fed, **self._learned_values()}
            with torch.autocast(logits.device.type, enabled=False):
                return losses.per_sample(self._loss, step, values)(logits, target)

        return function
