"""From a recipe's data table to the rows a run trains and is judged on."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lossbench.data import normalise
from lossbench.data.noise import corrupt, record
from lossbench.data.registry import get
from lossbench.data.splits import hold_out, long_tail, proportional
from lossbench.data.types import Dataset, Source, Split, Tables
from lossbench.errors import UsageError
from lossbench.spec import DataSpec

__all__ = ["classes_of", "data_folder", "load"]


def data_folder(named: str | Path | None = None) -> Path:
    """The folder of data files: the one named, else `LOSSBENCH_DATA`, else lossbench's part of the user's cache."""
    if chosen := named or os.environ.get("LOSSBENCH_DATA"):
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).absolute() / "lossbench"


def classes_of(spec: DataSpec) -> int:
    """How many classes the data will have, without reading them.

    Raises:
        UsageError: there is no such data set.
    """
    return len(spec.classes) or get(spec.name).classes


def load(spec: DataSpec, folder: Path) -> Dataset:
    """Read a data set, divide it as the recipe says, and normalise it with statistics of the training rows.

    Raises:
        UsageError: the recipe asks for what this data set cannot give.
        DataError: a file is missing, damaged or of another shape than promised.
    """
    source = get(spec.name)
    _check(spec, source)
    tables = source.read(folder)
    if spec.classes:
        tables = _only(spec, tables)
    if tables.pieces is not None:
        tables = _in_pieces(tables, tables.pieces, spec.tokenizer)
    elif spec.tokenizer:
        raise UsageError(f"data.tokenizer is for text; {spec.name} has {source.kind} of its own")
    classes = len(tables.class_names)
    train_rows, val_rows, test = _divide(spec, tables)
    train = tables.train.take(train_rows)
    val = None if val_rows is None else tables.train.take(val_rows)
    labels = _labels(spec, tables, train_rows)
    noise = record(spec, train.target, labels, classes) if spec.noise or spec.human_labels else None
    train = dataclasses.replace(train, target=labels)
    shift = scale = None
    if source.kind == "features":
        move, stretch = normalise.for_features(spec, train.inputs)
        train, test = (Split(inputs=part.inputs * stretch + move, target=part.target) for part in (train, test))
        val = val and Split(inputs=val.inputs * stretch + move, target=val.target)
    elif source.kind == "images":
        shift, scale = normalise.for_images(spec, None if source.streamed else train.inputs, channels=source.shape[0])
    return Dataset(
        name=spec.name,
        kind=source.kind,
        train=train,
        val=val,
        test=test,
        classes=classes,
        class_names=tables.class_names,
        noise=noise,
        shift=shift,
        scale=scale,
        vocabulary=tables.vocabulary,
        pictures=tables.pictures and tables.pictures(spec.side or source.shape[-1]),
    )


def _check(spec: DataSpec, source: Source) -> None:
    if source.has_test and spec.test:
        raise UsageError(f"data set {spec.name} is published with a test split; data.test must be 0, got {spec.test}")
    if not source.has_test and not spec.test:
        raise UsageError(
            f"data set {spec.name} is published without a test split; set data.test, such as data.test=0.2"
        )
    if source.kind != "images" and spec.augmented:
        raise UsageError(f"flips, crops and other changes to pictures need images; {spec.name} has {source.kind}")
    if source.kind == "tokens" and spec.normalize != "none":
        raise UsageError(f"data.normalize={spec.normalize} needs numbers; {spec.name} has words: use none")
    if not source.streamed and (spec.side or spec.part):
        raise UsageError(
            f"data.side and data.part are for pictures of many sizes; all rows of {spec.name} have one size"
        )
    if spec.jitter and source.shape[0] != 3:
        raise UsageError(f"data.jitter needs colour images; {spec.name} is grey")
    if spec.jitter and spec.normalize == "pixel-mean":
        raise UsageError("data.jitter needs colours, which are gone once data.normalize=pixel-mean has been applied")


def _in_pieces(tables: Tables, pieces: Callable[[str], tuple[Tensor, int]], tokenizer: str) -> Tables:
    """The same rows with their word pieces in place of row numbers."""
    try:
        every, vocabulary = pieces(tokenizer)
    except ImportError as error:
        raise UsageError(f"text needs the extra lossbench[text], pip install 'lossbench[text]': {error}") from error
    train, test = (
        part and dataclasses.replace(part, inputs=every[part.inputs]) for part in (tables.train, tables.test)
    )
    return dataclasses.replace(tables, train=train or tables.train, test=test, vocabulary=vocabulary, pieces=None)


def _only(spec: DataSpec, tables: Tables) -> Tables:
    """The rows of the recipe's classes, numbered anew."""
    count = len(tables.class_names)
    if len(set(spec.classes)) < max(2, len(spec.classes)) or max(spec.classes) >= count:
        raise UsageError(
            f"data.classes must name at least two different classes from 0 to {count - 1}, got {spec.classes}"
        )
    if tables.folds or spec.human_labels or spec.noise_kind == "asym":
        raise UsageError("data.classes goes with neither published folds, human labels nor asymmetric noise")
    number = torch.full((count,), -1)
    number[list(spec.classes)] = torch.arange(len(spec.classes))

    def kept(split: Split) -> Split:
        rows = number[split.target] >= 0
        return Split(inputs=split.inputs[rows], target=number[split.target[rows]])

    return Tables(
        train=kept(tables.train),
        test=tables.test and kept(tables.test),
        vocabulary=tables.vocabulary,
        pieces=tables.pieces,
        pictures=tables.pictures,
        class_names=tuple(tables.class_names[label] for label in spec.classes),
    )


def _divide(spec: DataSpec, tables: Tables) -> tuple[Tensor, Tensor | None, Split]:
    """Training rows, validation rows and the test split.

    Test rows are chosen first, then validation rows, then the imbalance and the limit thin out what is left: a later
    choice never changes an earlier one.
    """
    target, seed = tables.train.target, spec.split_seed
    classes = len(tables.class_names)
    rows, test = torch.arange(len(target)), tables.test
    if spec.fold and spec.fold >= len(tables.folds):
        known = f"folds 0 to {len(tables.folds) - 1}" if tables.folds else "no folds"
        raise UsageError(f"data.fold is {spec.fold}, but {spec.name} is published with {known}")
    if tables.folds:
        rows, held = tables.folds[spec.fold]
        test = tables.train.take(held)
    elif test is None:
        rows, held = hold_out(target, spec.test, classes=classes, seed=seed, purpose="split/test")
        test = tables.train.take(held)
    val = None
    if spec.validation:
        stays, held = hold_out(target[rows], spec.validation, classes=classes, seed=seed, purpose="split/validation")
        rows, val = rows[stays], rows[held]
    if spec.imbalance > 1:
        rows = rows[long_tail(target[rows], spec.imbalance, classes=classes, seed=seed)]
    if spec.limit is not None:
        if spec.limit > len(rows):
            raise UsageError(f"data.limit is {spec.limit}, but {spec.name} has {len(rows)} training rows")
        rows = rows[proportional(target[rows], spec.limit, classes=classes, seed=seed, purpose="split/limit")]
    for name, part in (("training", rows), ("validation", val), ("test", test)):
        if part is not None and not len(part):
            raise UsageError(
                f"data set {spec.name} leaves no {name} rows; take other shares for data.validation and data.test"
            )
    return rows, val, test


def _labels(spec: DataSpec, tables: Tables, rows: Tensor) -> Tensor:
    """The labels to train those rows on: the published ones, people's, or spoilt ones."""
    published = tables.train.target[rows]
    if not spec.human_labels:
        return corrupt(published, spec, classes=len(tables.class_names), mistaken_for=tables.mistaken_for)
    if spec.noise:
        raise UsageError("data.human_labels and data.noise exclude each other")
    if tables.human_labels is None:
        raise UsageError(f"there are no human labels for {spec.name}; cifar10 and cifar100 have some")
    return tables.human_labels(spec.human_labels)[rows]
