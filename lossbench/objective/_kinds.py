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
    "is_mixture",
    "is_number",
    "kind_of",
    "kinds",
    "learned_of",
    "mixed",
    "settled_value",
]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Runs of one cohort whose losses are one function with different numbers."""

    entry: losses.Loss
    curve: losses.Curve | None
    members: Sequence[int]
    """Places of the runs in the cohort."""
    runs: slice | Tensor
    """The same as an index; a slice where they stand side by side, which saves copies at every step."""
    shared: Mapping[str, Any]
    """Knobs that are the same for all of them: words, whole numbers, tensors from the data."""
    numbers: Mapping[str, Tensor]
    """Numeric knobs of this epoch, one value per run [r, 1]."""
    learned: Mapping[str, Learned]
    """Learned knobs, in the order of their columns in the cohort's raw parameters."""
    totals: Tensor
    """Sum of the initial values of knobs in softmax style [r]."""


def kinds(bound: Sequence[tuple[losses.Loss, Mapping[str, Source]]], clock: Clock) -> list[list[int]]:
    """Places of the losses in `bound` by kind, kinds in the order in which they come."""
    found: dict[Any, list[int]] = {}
    for run, (entry, sources) in enumerate(bound):
        found.setdefault(kind_of(entry, sources, clock, run), []).append(run)
    return list(found.values())


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
    return torch.addcmul(beta * true.not_p, alpha, true.ce), torch.addcmul(alpha, beta, true.p)


def learned_of(sources: Mapping[str, Source]) -> dict[str, Learned]:
    return {knob: source for knob, source in sources.items() if isinstance(source, Learned)}
