"""From a recipe's data table to the rows a run trains and is judged on."""

import os
from pathlib import Path

from lossbench.data import normalise
from lossbench.data.registry import get
from lossbench.data.splits import hold_out, proportional
from lossbench.data.types import Dataset, Source, Split, Tables
from lossbench.errors import UsageError
from lossbench.spec import DataSpec

__all__ = ["data_folder", "load"]


def data_folder(named: str | Path | None = None) -> Path:
    """The folder of data files: the one named, else `LOSSBENCH_DATA`, else lossbench's part of the user's cache."""
    if chosen := named or os.environ.get("LOSSBENCH_DATA"):
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).absolute() / "lossbench"


def load(spec: DataSpec, folder: Path) -> Dataset:
    """Read a data set, divide it as the recipe says, and normalise it with statistics of the training rows.

    Raises:
        UsageError: the recipe asks for what this data set cannot give.
        DataError: a file is missing, damaged or of another shape than promised.
    """
    source = get(spec.name)
    _check(spec, source)
    tables = source.read(folder)
    train, val, test = _divide(spec, tables)
    shift = scale = None
    if source.kind == "features":
        move, stretch = normalise.for_features(spec, train.inputs)
        train, test = (Split(inputs=part.inputs * stretch + move, target=part.target) for part in (train, test))
        val = val and Split(inputs=val.inputs * stretch + move, target=val.target)
    else:
        shift, scale = normalise.for_images(spec, train.inputs)
    return Dataset(
        name=spec.name,
        kind=source.kind,
        train=train,
        val=val,
        test=test,
        classes=len(tables.class_names),
        class_names=tables.class_names,
        shift=shift,
        scale=scale,
    )


def _check(spec: DataSpec, source: Source) -> None:
    if source.has_test and spec.test:
        raise UsageError(f"data set {spec.name} is published with a test split; data.test must be 0, got {spec.test}")
    if not source.has_test and not spec.test:
        raise UsageError(
            f"data set {spec.name} is published without a test split; set data.test, such as data.test=0.2"
        )
    if source.kind != "images" and (spec.flip or spec.crop_padding):
        raise UsageError(f"data.flip and data.crop_padding need images; {spec.name} has {source.kind}")


def _divide(spec: DataSpec, tables: Tables) -> tuple[Split, Split | None, Split]:
    """Test rows first, then validation rows, then the limit: what is left out later never changes what came before."""
    classes = len(tables.class_names)
    train, test = tables.train, tables.test
    if spec.fold and spec.fold >= len(tables.folds):
        known = f"folds 0 to {len(tables.folds) - 1}" if tables.folds else "no folds"
        raise UsageError(f"data.fold is {spec.fold}, but {spec.name} is published with {known}")
    if tables.folds:
        stays, held = tables.folds[spec.fold]
        train, test = train.take(stays), train.take(held)
    elif test is None:
        stays, held = hold_out(train.target, spec.test, classes=classes, seed=spec.split_seed, purpose="split/test")
        train, test = train.take(stays), train.take(held)
    val = None
    if spec.validation:
        stays, held = hold_out(
            train.target, spec.validation, classes=classes, seed=spec.split_seed, purpose="split/validation"
        )
        train, val = train.take(stays), train.take(held)
    if spec.limit is not None:
        if spec.limit > len(train):
            raise UsageError(f"data.limit is {spec.limit}, but {spec.name} has {len(train)} training rows")
        chosen = proportional(train.target, spec.limit, classes=classes, seed=spec.split_seed, purpose="split/limit")
        train = train.take(chosen)
    for name, part in (("training", train), ("validation", val), ("test", test)):
        if part is not None and not len(part):
            raise UsageError(
                f"data set {spec.name} leaves no {name} rows; take other shares for data.validation and data.test"
            )
    return train, val, test
