"""Which runs of a cohort one call of a loss can serve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossbench import losses
from lossbench.losses import Fixed, Learned, Scheduled, Source
from lossbench.schedules import Clock

__all__ = [
    "Group",
    "Kinds",
    "is_mixture",
    "is_number",
    "kind_of",
    "kinds_of",
    "learned_of",
    "mixed",
    "settled_value",
]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Runs of one cohort whose losses are one function with different numbers."""

    entry: losses.Loss
    curve: losses.Curve | None
    runs: Tensor
    """Places of the runs in the cohort [r]."""
    shared: Mapping[str, Any]
    """Knobs that are the same for all of them: words, whole numbers, tensors from the data."""
    numbers: Mapping[str, Tensor]
    """Numeric knobs of this epoch, one value per run [r, 1]."""
    learned: Mapping[str, Learned]
    """Learned knobs, in the order of their columns in the cohort's raw parameters."""
    totals: Tensor
    """Sum of the initial values of knobs in softmax style [r]."""


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """The groups of a cohort in one epoch."""

    curved: tuple[Group, ...]
    """Those whose loss depends on p_y alone."""
    others: tuple[Group, ...]
    places: Tensor | None
    """Where each run stands among the curved ones, laid group after group; arbitrary for a run that is not curved, and
    None where all runs make up one curved group."""


def kinds_of(groups: Sequence[Group]) -> Kinds:
    """The groups of a cohort, sorted by how they are computed."""
    curved = tuple(group for group in groups if group.curve)
    others = tuple(group for group in groups if not group.curve)
    if not curved or len(groups) == 1:
        return Kinds(curved, others, None)
    order = torch.cat([group.runs for group in curved])
    runs = sum(len(group.runs) for group in groups)
    places = order.new_zeros(runs).index_copy_(0, order, torch.arange(len(order), device=order.device))
    return Kinds(curved, others, places)


def kind_of(entry: losses.Loss, sources: Mapping[str, Source], clock: Clock, run: int) -> tuple[Any, ...]:
    """What runs must agree in to be one call: the function, and every knob that is not a mere number."""
    if is_mixture(entry, sources):
        return (mixed,)
    kinds: list[Any] = [*entry.steps]
    for source in sources.values():
        if isinstance(source, Learned):
            # A learned number is each run's own, which only a function that takes numbers per sample can serve.
            kinds.append((source.style, source.domain, None if entry.broadcasts else run))
        else:
            value = settled_value(source, clock)
            kinds.append(float if is_number(entry, source, value) else value)
    return tuple(kinds)


def settled_value(source: Source, clock: Clock) -> Any:
    """The value of a knob in one epoch; None where it is not settled before the epoch."""
    return losses.value_at(source, clock) if isinstance(source, Fixed | Scheduled) else None


def is_number(entry: losses.Loss, source: Source, value: Any) -> bool:
    """Whether runs may differ in this value within one call."""
    exact = isinstance(source, Fixed | Scheduled) and getattr(source.domain, "exact", False)
    return entry.broadcasts and isinstance(value, float) and not exact


def is_mixture(entry: losses.Loss, sources: Mapping[str, Source]) -> bool:
    """Whether a loss is a sum of cross entropy and expectation loss with weights known before the epoch."""
    return entry.mixture is not None and not any(isinstance(source, Learned) for source in sources.values())


def mixed(true: losses.TrueClass, *, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """The curve that all mixtures share."""
    return beta * true.not_p - alpha * true.log_p, torch.addcmul(alpha, beta, true.p)


def learned_of(sources: Mapping[str, Source]) -> dict[str, Learned]:
    return {knob: source for knob, source in sources.items() if isinstance(source, Learned)}
