"""What a data set is, before and after a run's choices are applied to it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from lossbench.data.noise import LabelNoise
from lossbench.data.streaming import Pictures

__all__ = ["Dataset", "Fold", "Kind", "Source", "Split", "Tables"]

Kind = Literal["features", "images", "tokens"]

Fold = tuple[Tensor, Tensor]
"""Row numbers to train on and to test on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Rows of one purpose, and their integer targets [D].

    Inputs are features float32 [D, F], images uint8 [D, C, H, W] or word numbers int64 [D, T]; for a set larger than
    memory they are row numbers of its picture files int64 [D], for text as published those of its sentences.
    """

    inputs: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Tensor) -> "Split":
        """The rows of those numbers, in that order."""
        if len(rows) == len(self) and torch.equal(rows, torch.arange(len(self))):
            return self  # all of them: a large set is not copied for nothing
        return Split(inputs=self.inputs[rows], target=self.target[rows])

    def to(self, device: torch.device | str) -> "Split":
        return Split(inputs=self.inputs.to(device), target=self.target.to(device))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """A data set as published: nothing held out, nothing normalised.

    `train` holds every row where the test rows are not yet divided from it: by one of the published `folds` if there
    are any, else by the recipe's `test` share.
    """

    train: Split
    test: Split | None = None
    folds: tuple[Fold, ...] = ()
    human_labels: Callable[[str], Tensor] | None = None
    """Labels that people gave the training rows [D], by name."""
    mistaken_for: tuple[int, ...] | None = None
    """Class -> the class it is most easily mistaken for, itself where there is none."""
    vocabulary: int | None = None
    """How many word numbers there are, for sequences of them."""
    pieces: Callable[[str], tuple[Tensor, int]] | None = None
    """By the name of a tokenizer, the word pieces behind the row numbers [D, T], and how many there are."""
    pictures: Callable[[int], Pictures] | None = None
    """The files behind the row numbers, scaled to a side, for a set larger than memory."""
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set by name: what is known of it without reading it, and how to read it."""

    name: str
    title: str
    kind: Kind
    rows: int
    """Rows in all, as published."""
    shape: tuple[int, ...]
    """Of one row, as `Dataset.shape` has it; a vocabulary that depends on the file counts as 0."""
    classes: int
    test_rows: int
    """Rows of the published test split, about as many where there are folds, 0 where the recipe must hold some out."""
    licence: str
    origin: str
    """Where it comes from, in words for a listing."""
    layout: tuple[str, ...] = ()
    """Paths below the data folder it is read from, the preferred one first; empty where it needs no file."""
    kept: str = ""
    """What it leaves below the data folder once it has been prepared, as a pattern; empty where it is read anew."""
    files: tuple[str, ...] = ()
    """Patterns of what belongs to it below the data folder, for a set that shares the folder it is read from."""
    file_bytes: int | None = None
    """What its files take, for a set whose rows are read from them batch by batch because memory does not hold them."""
    read: Callable[[Path], Tables]

    @property
    def streamed(self) -> bool:
        return self.file_bytes is not None

    @property
    def has_test(self) -> bool:
        return self.test_rows > 0

    def found(self, folder: Path) -> Path | None:
        """The first path of the layout that exists below the data folder."""
        return next((folder / path for path in self.layout if (folder / path).exists()), None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A data set as one recipe sees it.

    Features are normalised already. Images stay bytes, a quarter of the memory; `shift` and `scale` turn a batch of
    them into network inputs, `x * scale + shift`, with shapes that broadcast against [N, C, H, W].
    """

    name: str
    kind: Kind
    train: Split
    val: Split | None
    test: Split
    classes: int
    class_names: tuple[str, ...]
    noise: LabelNoise | None = None
    """What was done to the training labels, where the recipe does something to them."""
    shift: Tensor | None = None
    scale: Tensor | None = None
    vocabulary: int | None = None
    pictures: Pictures | None = None
    """The files behind the row numbers, for a set larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row of inputs: (F,) for features, (C, H, W) for images, (T, vocabulary) for word numbers."""
        if self.pictures is not None:
            return self.pictures.shape
        own = tuple(self.train.inputs.shape[1:])
        return own if self.vocabulary is None else (*own, self.vocabulary)

    def split(self, name: str) -> Split | None:
        """`train`, `val` or `test`; None for a validation split that the recipe does not hold out."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def to(self, device: torch.device | str) -> "Dataset":
        """The same data set with every tensor on that device, so that no batch has to travel; the row numbers of
        picture files stay where the files are read."""

        def moved(split: Split) -> Split:
            there = split.to(device)
            return there if self.pictures is None else dataclasses.replace(there, inputs=split.inputs)

        return dataclasses.replace(
            self,
            train=moved(self.train),
            val=self.val and moved(self.val),
            test=moved(self.test),
            shift=None if self.shift is None else self.shift.to(device),
            scale=None if self.scale is None else self.scale.to(device),
        )
