"""The objectives of many runs as one program."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import losses
from lossbench.errors import UsageError
from lossbench.losses import FromData, Learned, Scheduled, TrueClass
from lossbench.objective._kinds import (
    Group,
    is_mixture,
    is_number,
    kinds,
    learned_of,
    mixed,
    settled_value,
)
from lossbench.objective.scores import Scores
from lossbench.schedules import Clock
from lossbench.spec import LossRef

__all__ = ["CohortObjective", "by_kind"]

Differentiate = Callable[[int], None]
"""Of the loss's step with that number."""


def by_kind(refs: Sequence[LossRef], *, epochs: int) -> list[int]:
    """Places of the losses, those side by side that one call serves, as they are in the first epoch."""
    bound = [losses.sources(ref) for ref in refs]
    return list(chain.from_iterable(kinds(bound, Clock(epoch=0, epochs=epochs))))


class CohortObjective(nn.Module):
    """The losses of R runs as one program: one call per kind of loss, never one per run.

    A run's numbers do not depend on its neighbours, bit for bit on the CPU. `raw` [R, K] holds the raw parameters of
    the learned knobs, one row per run and K = 0 where none has any, so an optimiser can treat it as one more weight
    with a leading run axis; it takes no weight decay.
    """

    def __init__(self, refs: Sequence[LossRef], *, target: Tensor, classes: int) -> None:
        """`target` are the training targets [D] of all runs; every loss must take the same number of steps."""
        super().__init__()
        self._bound = [losses.sources(ref) for ref in refs]
        self._learned = [learned_of(sources) for _, sources in self._bound]
        counts = {len(entry.steps) for entry, _ in self._bound}
        if len(counts) > 1:
            raise UsageError("the losses of one cohort take the same number of steps per batch")
        self.step_count = counts.pop()
        width = max(map(len, self._learned))
        raw = torch.zeros(len(self._bound), width)
        for row, learned in zip(raw, self._learned, strict=True):
            for column, knob in enumerate(learned):
                row[column] = losses.raw_of(learned[knob])
        self.raw = nn.Parameter(raw)
        # Sources that read the data alike share one tensor, which moves with the module.
        self._from_data: dict[Callable[[Tensor, int], Tensor], str] = {}
        for source in (each for _, sources in self._bound for each in sources.values()):
            if isinstance(source, FromData) and source.read not in self._from_data:
                self._from_data[source.read] = f"data{len(self._from_data)}"
                self.register_buffer(self._from_data[source.read], source.read(target, classes), persistent=False)
        self._latest: tuple[Any, list[Group]] | None = None

    def bound(self, scores: Scores, clock: Clock) -> Differentiate:
        """What makes losses and factors from the scores, in that epoch; to be called where autograd is off.

        A loss that does not depend on p_y alone puts its gradient into `scores.residual`; learned knobs' gradients, of
        every run's batch mean, add to `raw`.
        """
        parts = [
            (self._curved if group.curve else self._general)(group, scores)
            for group in self._groups(clock, scores.losses.dtype)
        ]

        def differentiate(step: int) -> None:
            for part in parts:
                part(step)

        return differentiate

    def values(self, clock: Clock) -> list[dict[str, float]]:
        """For each run, the values of its scheduled and learned knobs in this epoch."""
        found = [
            {
                knob: float(losses.value_at(source, clock) or 0.0)
                for knob, source in sources.items()
                if isinstance(source, Scheduled)
            }
            for _, sources in self._bound
        ]
        for group in self._groups(clock, torch.float64) if self.raw.shape[1] else ():
            for knob, value in self._learned_values(group, torch.float64).items():
                for run, number in zip(group.members, value.tolist(), strict=True):
                    found[run][knob] = number
        return found

    def learned_lr(self, lr: Tensor) -> Tensor:
        """Learning rates of `raw` [R, K] where those of the models are `lr` [R]."""
        rates = lr.unsqueeze(-1).repeat(1, self.raw.shape[1])
        for row, learned in zip(rates, self._learned, strict=True):
            for column, source in enumerate(learned.values()):
                if source.lr is not None:
                    row[column] = source.lr
        return rates

    def _groups(self, clock: Clock, dtype: torch.dtype) -> list[Group]:
        """The runs by kind of loss, with the knobs of this epoch; kept until another epoch asks."""
        address = (clock, dtype, self.raw.device)
        if self._latest is None or self._latest[0] != address:
            self._latest = (address, [self._group(runs, clock, dtype) for runs in kinds(self._bound, clock)])
        return self._latest[1]

    def _curved(self, group: Group, scores: Scores) -> Differentiate:
        """Loss and factor of one group whose loss depends on p_y alone."""
        curve = group.curve
        assert curve is not None
        true = _true_reader(scores.true, group.runs)
        set_losses, set_factors = _writer(scores.losses, group.runs), _writer(scores.factors, group.runs)
        # Written out once per row: short rows make slow broadcasts.
        shape = (len(group.members), scores.losses.shape[1])
        numbers = {knob: value.expand(shape).contiguous() for knob, value in group.numbers.items()}
        settled = {**group.shared, **numbers}

        def differentiate(step: int) -> None:
            if group.learned:
                with torch.enable_grad():
                    value, factor = curve(true(), **settled, **self._learned_columns(group))
                    torch.autograd.backward(value.sum() / shape[1])
                value, factor = value.detach(), factor.detach() if isinstance(factor, Tensor) else factor
            else:
                value, factor = curve(true(), **settled)
            set_losses(value)
            set_factors(factor)

        return differentiate

    def _general(self, group: Group, scores: Scores) -> Differentiate:
        """The runs of one other kind of loss, their rows laid end to end, differentiated by autograd."""
        logits, target = _reader(scores.logits, group.runs), _reader(scores.target, group.runs)
        set_losses, set_residual = _writer(scores.losses, group.runs), _writer(scores.residual, group.runs)
        shape = (len(group.members), scores.losses.shape[1])
        # Autograd gives the gradient of the batch mean, on which learned knobs depend too.
        _writer(scores.factors, group.runs)(float(shape[1]))

        def knob_of(value: Tensor) -> Tensor:
            return value.expand(shape).flatten() if group.entry.broadcasts else value[0, 0]

        def differentiate(step: int) -> None:
            part = logits().clone(memory_format=torch.contiguous_format).requires_grad_()
            with torch.enable_grad():
                numbers = {**group.numbers, **self._learned_columns(group)}
                knobs = {**group.shared, **{knob: knob_of(value) for knob, value in numbers.items()}}
                function = losses.per_sample(group.entry, group.entry.steps[step], knobs)
                value = function(part.flatten(0, 1), target().flatten())
                torch.autograd.backward(value.sum() / shape[1])
            set_losses(value.detach().view(shape))
            if part.grad is not None:
                set_residual(part.grad)

        return differentiate

    def _learned_columns(self, group: Group) -> dict[str, Tensor]:
        """Every learned knob of a group as a column [r, 1]."""
        if not group.learned:
            return {}
        dtype = next((each.dtype for each in group.numbers.values()), torch.float32)
        return {knob: value.unsqueeze(1) for knob, value in self._learned_values(group, dtype).items()}

    def _learned_values(self, group: Group, dtype: torch.dtype) -> dict[str, Tensor]:
        raws = {knob: self.raw[group.runs, column].to(dtype) for column, knob in enumerate(group.learned)}
        return losses.values_of(raws, group.learned, group.totals.to(dtype)) if raws else {}

    def _group(self, runs: list[int], clock: Clock, dtype: torch.dtype) -> Group:
        entry, first = self._bound[runs[0]]
        device = self.raw.device
        aside = runs == list(range(runs[0], runs[-1] + 1))
        index = slice(runs[0], runs[-1] + 1) if aside else torch.tensor(runs, device=device)

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).unsqueeze(1)

        if is_mixture(entry, first):
            alpha, beta = zip(*(self._mixture(run, clock) for run in runs), strict=True)
            return Group(
                entry, mixed, runs, index, {}, {"alpha": column(alpha), "beta": column(beta)}, {}, column([0.0])
            )
        shared, numbers = dict[str, Any](), dict[str, Tensor]()
        for knob, source in first.items():
            if isinstance(source, FromData):
                shared[knob] = getattr(self, self._from_data[source.read])
            elif not isinstance(source, Learned):
                settled = [settled_value(self._bound[run][1][knob], clock) for run in runs]
                if is_number(entry, source, settled[0]):
                    numbers[knob] = column(settled)
                else:
                    shared[knob] = settled[0]
        totals = torch.tensor([losses.softmax_total(self._learned[run]) for run in runs], device=device)
        return Group(entry, entry.curve, runs, index, shared, numbers, self._learned[runs[0]], totals)

    def _mixture(self, run: int, clock: Clock) -> tuple[float, float]:
        """Weights of cross entropy and expectation loss in that run and epoch."""
        entry, sources = self._bound[run]
        assert entry.mixture is not None
        alpha, beta = entry.mixture(**{knob: settled_value(source, clock) for knob, source in sources.items()})
        return float(alpha), float(beta)


def _reader(values: Tensor, runs: slice | Tensor) -> Callable[[], Tensor]:
    """Present values of those runs."""
    if isinstance(runs, slice):
        view = values[runs]
        return lambda: view
    return lambda: values[runs]


def _true_reader(true: TrueClass, runs: slice | Tensor) -> Callable[[], TrueClass]:
    """What losses of p_y see of those runs at present."""
    if isinstance(runs, slice):
        views = TrueClass(*(each[runs] for each in true))
        return lambda: views
    return lambda: TrueClass(*(each[runs] for each in true))


def _writer(values: Tensor, runs: slice | Tensor) -> Callable[[Tensor | float], object]:
    """What sets the values of those runs."""
    if isinstance(runs, slice):
        view = values[runs]
        return lambda new: view.copy_(new) if isinstance(new, Tensor) else view.fill_(new)
    return lambda new: values.__setitem__(runs, new)
