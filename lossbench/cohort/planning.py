"""Which runs can be trained together."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

from lossbench.spec import ModelSpec, RunSpec

__all__ = ["LARGEST", "accepts", "evenly", "plan", "widths"]

T = TypeVar("T")

LARGEST = 216
"""Members beyond which a larger cohort gains nothing more, even of the smallest networks."""


def accepts(spec: RunSpec) -> bool:
    """Whether a cohort can train this run; everything else is for `lossbench.trainer.Trainer`.

    It takes stacks of Linear and ReLU without dropout, trained by SGD in float32 on rows that are not augmented.
    """
    preset = spec.preset
    return (
        widths(preset.model, 1, 1) is not None
        and preset.optimizer.name == "sgd"
        and not preset.optimizer.redraw
        and preset.precision == "fp32"
        and preset.compile != "on"
        and not preset.data.augmented
    )


def widths(spec: ModelSpec, features: int, classes: int) -> tuple[int, ...] | None:
    """Layer widths of a model that is nothing but Linear and ReLU in turn, input and output included; else None."""
    if spec.dropout:
        return None
    if spec.name == "linear" and not spec.hidden:
        return (features, classes)
    if spec.name == "hidden" and not spec.hidden:
        return (features, features, classes)
    if spec.name == "mlp" and spec.hidden:
        return (features, *spec.hidden, classes)
    return None


def plan(specs: Sequence[RunSpec], *, largest: int = LARGEST) -> list[list[int]]:
    """Divide runs into programs: cohorts of at most `largest` members, and single runs that no cohort takes.

    Returns:
        Places in `specs`, each exactly once; groups begin in the order of the runs they begin with.
    """
    groups: dict[Any, list[int]] = {}
    for place, spec in enumerate(specs):
        groups.setdefault(_common(spec) if accepts(spec) else place, []).append(place)
    return [part for places in groups.values() for part in evenly(places, largest)]


def _common(spec: RunSpec) -> tuple[Any, ...]:
    """What the members of a cohort agree in: everything but loss, seed and the optimiser's numbers."""
    optimizer = spec.preset.optimizer
    neutral = dataclasses.replace(optimizer, lr=1.0, momentum=0.0, weight_decay=0.0, schedule="1")
    preset = dataclasses.replace(spec.preset, optimizer=neutral, title="", cites=(), published=())
    return (preset, spec.numbers_version)


def evenly(places: Sequence[T], largest: int) -> list[list[T]]:
    """Cut a list into the fewest parts of at most `largest`, as equal as can be."""
    count = -(-len(places) // largest)
    ends = [len(places) * part // count for part in range(count + 1)]
    return [list(places[start:end]) for start, end in pairwise(ends)]
