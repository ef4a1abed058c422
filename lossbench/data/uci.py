"""The 121 UCI sets of Fernandez-Delgado et al. 2014 with their published folds, under `uci-<name>`.

Below the data folder, `uci121/<name>/` holds the publisher's files: `<name>_R.dat` (tab separated, a row number
first, the class last), or `<name>_train_R.dat` and `<name>_test_R.dat`, and `conxuntos_kfold.dat`, the folds.

What to know before trusting a figure: features were standardised by the publisher over all rows, test rows included;
sets with a test file were standardised per file, which breaks some of them (annealing, image-segmentation, spectf,
statlog-shuttle). The four folds are independent draws of 75 % against 25 %, not a partition.
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lossbench.data._uci121 import OWN_TEST, SIZES
from lossbench.data.registry import register
from lossbench.data.types import Fold, Source, Split, Tables
from lossbench.errors import DataError

_ARCHIVE = "http://persoal.citius.usc.es/manuel.fernandez.delgado/papers/jmlr/data.tar.gz"
_FOLDS = 4


def _read(folder: Path, *, name: str) -> Tables:
    _, features, classes = SIZES[name]
    home = folder / "uci121" / name
    class_names = tuple(map(str, range(classes)))
    if name in OWN_TEST:
        train, test = (_table(home / f"{name}_{part}_R.dat", features, classes) for part in ("train", "test"))
        return Tables(train=train, test=test, class_names=class_names)
    rows = _table(home / f"{name}_R.dat", features, classes)
    return Tables(train=rows, folds=_folds(home / "conxuntos_kfold.dat", len(rows)), class_names=class_names)


def _table(path: Path, features: int, classes: int) -> Split:
    # pandas reads the large sets in a tenth of numpy's time, and takes as long to import as a small set to train.
    import pandas as pd

    try:
        frame = pd.read_csv(_present(path), sep="\t", index_col=0)
        values = torch.from_numpy(frame.to_numpy(dtype="float64"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is not a table of numbers: {error}") from error
    if values.ndim != 2 or values.shape[1] != features + 1 or not len(values):
        raise DataError(f"{path} has {list(values.shape)} values, expected [N, {features + 1}] with the class last")
    labels = values[:, -1]
    if not values.isfinite().all():
        raise DataError(f"{path} holds a value that is missing or not finite")
    if (labels != labels.round()).any() or labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path}: classes run from {labels.min():g} to {labels.max():g}, expected 0 to {classes - 1}")
    return Split(inputs=values[:, :-1].float(), target=labels.long())


def _folds(path: Path, rows: int) -> tuple[Fold, ...]:
    try:
        lines = [_numbers(line) for line in _present(path).read_text().splitlines() if line.strip()]
    except ValueError as error:
        raise DataError(f"{path} is not lists of row numbers: {error}") from error
    if len(lines) != 2 * _FOLDS:
        raise DataError(
            f"{path} has {len(lines)} lines, expected {2 * _FOLDS}: training and test rows of {_FOLDS} folds"
        )
    for line in lines:
        if line.min() < 0 or line.max() >= rows:
            raise DataError(f"{path} names row {int(line.max())}, but the table has rows 0 to {rows - 1}")
    return tuple(zip(lines[::2], lines[1::2], strict=True))


def _numbers(line: str) -> Tensor:
    return torch.tensor([int(word) for word in line.split()])


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path} is missing; unpack {_ARCHIVE} into {path.parent.parent}, or name a folder that holds uci121/ with "
            "--data-dir or LOSSBENCH_DATA"
        )
    return path


def _register(name: str) -> None:
    rows, features, classes = SIZES[name]
    file = f"{name}_train_R.dat" if name in OWN_TEST else f"{name}_R.dat"
    register(
        Source(
            name=f"uci-{name}",
            title=f"UCI {name}, {features} features",
            kind="features",
            rows=rows,
            shape=(features,),
            classes=classes,
            test_rows=rows // 4,
            licence="terms of the UCI repository, by set",
            origin=_ARCHIVE,
            layout=(f"uci121/{name}/{file}",),
            read=partial(_read, name=name),
        )
    )


for _name in SIZES:
    _register(_name)
