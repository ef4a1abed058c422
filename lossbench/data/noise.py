"""Wrong labels on purpose: training rows only, from a stream of their own, and a record of what was done.

Definitions: symmetric noise gives exactly floor(rate * D) rows, drawn without replacement, a label drawn from the
other classes (`sym`) or from all classes (`sym-incl`, the form of many published codes, whose realised rate is lower).
Asymmetric noise gives floor(rate * D_c) rows of every class that has one the label of the class it is mistaken for.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossbench.data.splits import generator
from lossbench.errors import UsageError
from lossbench.spec import DataSpec

__all__ = ["LabelNoise", "corrupt", "record"]

_MOST_ASYMMETRIC = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelNoise:
    """What was done to the training labels of a run."""

    kind: str
    """`sym`, `sym-incl` or `asym` as defined above, or `human` and the name of people's labels."""
    asked: float | None
    """The rate that the recipe asks for; people were asked for none."""
    seed: int | None
    """Of the stream the wrong labels were drawn from."""
    realised: float
    """Share of the training rows whose label is wrong."""
    transitions: tuple[tuple[int, ...], ...]
    """Rows of class i that are labelled j, as a matrix [C, C]."""
    sha256: str
    """Of the labels trained on, as little-endian 64-bit integers in the order of the rows."""


def corrupt(target: Tensor, spec: DataSpec, *, classes: int, mistaken_for: Sequence[int] | None) -> Tensor:
    """The labels [D] with the recipe's noise in them.

    Args:
        mistaken_for: class -> the class that asymmetric noise turns it into, itself for classes left alone.
    Raises:
        UsageError: asymmetric noise on a set that defines none, or at a rate where labels say nothing any more.
    """
    if not spec.noise:
        return target
    if spec.noise_kind == "asym":
        return _asymmetric(target, spec, mistaken_for)
    random = generator(spec.noise_seed, "noise")
    rows = torch.randperm(len(target), generator=random)[: int(spec.noise * len(target))]
    noisy = target.clone()
    if spec.noise_kind == "sym-incl":
        noisy[rows] = torch.randint(classes, (len(rows),), generator=random)
    else:
        # A step of 1 to C - 1 around the circle of classes reaches each of the others equally often.
        noisy[rows] = (target[rows] + torch.randint(1, classes, (len(rows),), generator=random)) % classes
    return noisy


def _asymmetric(target: Tensor, spec: DataSpec, mistaken_for: Sequence[int] | None) -> Tensor:
    if mistaken_for is None:
        raise UsageError(f"asymmetric label noise is not defined for {spec.name}; use data.noise_kind=sym")
    if spec.noise > _MOST_ASYMMETRIC:
        raise UsageError(
            f"asymmetric label noise goes up to {_MOST_ASYMMETRIC}, got {spec.noise}: at one half a class and the one "
            "it is mistaken for cannot be told apart"
        )
    noisy = target.clone()
    for label, other in enumerate(mistaken_for):
        if other != label:
            rows = (target == label).nonzero().squeeze(1)
            order = torch.randperm(len(rows), generator=generator(spec.noise_seed, "noise", label))
            noisy[rows[order[: int(spec.noise * len(rows))]]] = other
    return noisy


def record(spec: DataSpec, clean: Tensor, noisy: Tensor, classes: int) -> LabelNoise:
    """Describe the difference between published labels [D] and those trained on [D]."""
    human = bool(spec.human_labels)
    transitions = torch.bincount(clean * classes + noisy, minlength=classes * classes).view(classes, classes)
    return LabelNoise(
        kind=f"human {spec.human_labels}" if human else spec.noise_kind,
        asked=None if human else spec.noise,
        seed=None if human else spec.noise_seed,
        realised=(clean != noisy).double().mean().item(),
        transitions=tuple(map(tuple, transitions.tolist())),
        sha256=hashlib.sha256(noisy.numpy().astype("<i8").tobytes()).hexdigest(),
    )
