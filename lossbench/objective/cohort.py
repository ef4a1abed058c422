"""The objectives of many runs as one program."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import losses
from lossbench.errors import UsageError
from lossbench.losses import FromData, Learned, Scheduled, TrueClass
from lossbench.objective._kinds import (
    Group,
    Kinds,
    is_mixture,
    is_number,
    kind_of,
    kinds_of,
    learned_of,
    mixed,
    settled_value,
)
from lossbench.objective.scores import Scores
from lossbench.schedules import Clock
from lossbench.spec import LossRef

__all__ = ["CohortObjective"]


class CohortObjective(nn.Module):
    """The losses of R runs as one program: one call per kind of loss, never one per run.

    A run's numbers do not depend on its neighbours, bit for bit on the CPU. `raw` [R, K] holds the raw parameters of
    the learned knobs, one row per run and K = 0 where none has any, so an optimiser can treat it as one more weight
    with a leading run axis; it takes no weight decay.
    """

    def __init__(self, refs: Sequence[LossRef], *, target: Tensor, classes: int) -> None:
        """`target` are the training targets [D] of all runs; every loss must take the same number of steps."""
        super().__init__()
        self._bound = [(ref, *losses.sources(ref)) for ref in refs]
        self._learned = [learned_of(sources) for _, _, sources in self._bound]
        counts = {len(entry.steps) for _, entry, _ in self._bound}
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
        for source in (each for _, _, sources in self._bound for each in sources.values()):
            if isinstance(source, FromData) and source.read not in self._from_data:
                self._from_data[source.read] = f"data{len(self._from_data)}"
                self.register_buffer(self._from_data[source.read], source.read(target, classes), persistent=False)
        self._latest: tuple[Any, Kinds] | None = None

    def losses(self, logits: Tensor, target: Tensor, clock: Clock, *, step: int = 0) -> Tensor:
        """The loss of every run on every row, without gradients.

        Args:
            logits: unnormalised scores [R, B, C].
            target: class indices, shared [B] or one row per run [R, B].
        Returns:
            Losses [R, B].
        """
        return self._evaluate(logits, target, clock, step, gradients=False)[0]

    def losses_and_gradient(
        self, logits: Tensor, target: Tensor, clock: Clock, *, step: int = 0
    ) -> tuple[Tensor, Tensor]:
        """The losses, and the gradient of every run's batch mean in its logits; learned knobs' gradients add to `raw`.

        Args:
            logits: unnormalised scores [R, B, C].
            target: class indices, shared [B] or one row per run [R, B].
        Returns:
            Losses [R, B], and d(mean over B)/d logits [R, B, C], already divided by B.
        """
        return self._evaluate(logits, target, clock, step, gradients=True)

    def kinds(self, clock: Clock, dtype: torch.dtype) -> Kinds:
        """The runs by kind of loss, with the knobs of this epoch; kept until another epoch asks."""
        address = (clock, dtype, self.raw.device)
        if self._latest is None or self._latest[0] != address:
            kinds: dict[Any, list[int]] = {}
            for run, (_, entry, sources) in enumerate(self._bound):
                kinds.setdefault(kind_of(entry, sources, clock, run), []).append(run)
            groups = [self._group(runs, clock, dtype) for runs in kinds.values()]
            self._latest = (address, kinds_of(groups))
        return self._latest[1]

    def differentiate(
        self,
        scores: Scores,
        labels: Tensor,
        kinds: Kinds,
        *,
        step: int = 0,
        out: Tensor,
        gradients: bool = True,
    ) -> Tensor:
        """`losses_and_gradient` for logits that stand in `scores`; to be called where autograd is off.

        Args:
            scores: logits of all runs.
            labels: `scores.labels(target)`.
            out: takes the gradient [C, ..., B], the axes between making up the runs.
        Returns:
            Losses [R, B].
        """
        true = scores.softmax(labels)
        rows = true.log_p.shape[1]
        if kinds.curved:
            values, weights = self._curved(kinds, scores, true, gradients)
            weights = weights * (1 / rows)
        else:
            values, weights = torch.empty_like(true.log_p), torch.empty_like(true.log_p)
        for group in kinds.others:
            logits, target = scores.logits[:, group.runs].permute(1, 2, 0), scores.target(labels)[group.runs]
            value, gradient = self._general(group, logits, target, step, gradients)
            values[group.runs], weights[group.runs] = value, 1.0
            scores.residual[:, group.runs] = gradient.permute(2, 0, 1)
        torch.mul(scores.residual.view(out.shape), weights.view(out.shape[1:]), out=out)
        return values

    def values(self, clock: Clock) -> list[dict[str, float]]:
        """For each run, the values of its scheduled and learned knobs in this epoch."""
        found = [
            {
                knob: float(losses.value_at(source, clock) or 0.0)
                for knob, source in sources.items()
                if isinstance(source, Scheduled)
            }
            for _, _, sources in self._bound
        ]
        kinds = self.kinds(clock, torch.float64)
        for group in (*kinds.curved, *kinds.others):
            for knob, value in self._learned_values(group, torch.float64).items():
                for run, number in zip(group.runs.tolist(), value.tolist(), strict=True):
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

    @torch.no_grad()
    def _evaluate(
        self, logits: Tensor, target: Tensor, clock: Clock, step: int, *, gradients: bool
    ) -> tuple[Tensor, Tensor]:
        logits = logits.detach()
        if logits.dtype in (torch.bfloat16, torch.float16):
            logits = logits.float()
        scores = Scores(*logits.shape, dtype=logits.dtype, device=logits.device)
        scores.logits.copy_(logits.permute(2, 0, 1))
        labels = scores.labels(target.expand(logits.shape[:2]))
        gradient = torch.empty_like(scores.logits)
        kinds = self.kinds(clock, logits.dtype)
        values = self.differentiate(scores, labels, kinds, step=step, out=gradient, gradients=gradients)
        return values, gradient.permute(1, 2, 0)

    def _curved(self, kinds: Kinds, scores: Scores, true: TrueClass, gradients: bool) -> tuple[Tensor, Tensor]:
        """Loss and gradient weight [R, B] of the runs whose loss depends on p_y alone; arbitrary for the others."""
        if kinds.places is None:
            return self._curve(kinds.curved[0], true, gradients)
        found = []
        for group in kinds.curved:
            found.append(self._curve(group, scores.seen_by(group.runs), gradients))
        values, weights = zip(*found, strict=True)
        return torch.cat(values).index_select(0, kinds.places), torch.cat(weights).index_select(0, kinds.places)

    def _curve(self, group: Group, true: TrueClass, gradients: bool) -> tuple[Tensor, Tensor]:
        """Loss and gradient weight [r, B] of one group; learned knobs' gradients add to `raw`."""
        assert group.curve is not None
        if group.learned and gradients:
            with torch.enable_grad():
                value, weight = group.curve(true, **self._fed(group))
                torch.autograd.backward(value.sum() / value.shape[1])
            value = value.detach()
        else:
            value, weight = group.curve(true, **self._fed(group))
        if not isinstance(weight, Tensor):
            return value, torch.full_like(value, weight)
        return value, weight.detach().expand_as(value)

    def _general(
        self, group: Group, logits: Tensor, target: Tensor, step: int, gradients: bool
    ) -> tuple[Tensor, Tensor]:
        """The runs of one other kind of loss, their rows laid end to end, differentiated by autograd."""
        rows = logits.shape[1]
        part = logits.contiguous().requires_grad_(gradients)
        with torch.set_grad_enabled(gradients):
            per_sample = group.entry.broadcasts
            knobs = {
                knob: value if knob in group.shared else value.expand(-1, rows).flatten() if per_sample else value[0, 0]
                for knob, value in self._fed(group).items()
            }
            function = losses.per_sample(group.entry, group.entry.steps[step], knobs)
            value = function(part.flatten(0, 1), target.flatten())
            if gradients:
                torch.autograd.backward(value.sum() / rows)
        return value.detach().view(-1, rows), part.detach() if part.grad is None else part.grad

    def _fed(self, group: Group) -> dict[str, Any]:
        """Every knob of a group, numbers as a column [r, 1]."""
        if not group.learned:
            return {**group.shared, **group.numbers}
        dtype = next((each.dtype for each in group.numbers.values()), torch.float32)
        learned = {knob: value.unsqueeze(1) for knob, value in self._learned_values(group, dtype).items()}
        return {**group.shared, **group.numbers, **learned}

    def _learned_values(self, group: Group, dtype: torch.dtype) -> dict[str, Tensor]:
        raws = {knob: self.raw[group.runs, column].to(dtype) for column, knob in enumerate(group.learned)}
        return losses.values_of(raws, group.learned, group.totals.to(dtype)) if raws else {}

    def _group(self, runs: list[int], clock: Clock, dtype: torch.dtype) -> Group:
        _, entry, first = self._bound[runs[0]]
        device = self.raw.device
        places = torch.tensor(runs, device=device)

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).unsqueeze(1)

        if is_mixture(entry, first):
            alpha, beta = zip(*(self._mixture(run, clock) for run in runs), strict=True)
            return Group(entry, mixed, places, {}, {"alpha": column(alpha), "beta": column(beta)}, {}, places)
        shared, numbers = dict[str, Any](), dict[str, Tensor]()
        for knob, source in first.items():
            if isinstance(source, FromData):
                shared[knob] = getattr(self, self._from_data[source.read])
            elif not isinstance(source, Learned):
                settled = [settled_value(self._bound[run][2][knob], clock) for run in runs]
                if is_number(entry, source, settled[0]):
                    numbers[knob] = column(settled)
                else:
                    shared[knob] = settled[0]
        totals = torch.tensor([losses.softmax_total(self._learned[run]) for run in runs], device=device)
        return Group(entry, entry.curve, places, shared, numbers, self._learned[runs[0]], totals)

    def _mixture(self, run: int, clock: Clock) -> tuple[float, float]:
        """Weights of cross entropy and expectation loss in that run and epoch."""
        _, entry, sources = self._bound[run]
        assert entry.mixture is not None
        alpha, beta = entry.mixture(**{knob: settled_value(source, clock) for knob, source in sources.items()})
        return float(alpha), float(beta)
