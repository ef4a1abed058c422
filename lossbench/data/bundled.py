"""The UCI data that scikit-learn carries inside its package: nothing to download."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from lossbench.data.registry import register
from lossbench.data.types import Kind, Source, Split, Tables
from lossbench.errors import DataError

_ORIGIN = "bundled with scikit-learn"
_LICENCE = "CC BY 4.0 (UCI)"


def _rows(file: str, header: int) -> Split:
    """The rows of one of scikit-learn's files; the last column is the class."""
    # Importing scikit-learn takes longer than training on these sets, so its files are read where they lie.
    package = importlib.util.find_spec("sklearn")
    folder = Path(next(iter(package.submodule_search_locations or ()))) if package else Path()
    try:
        table = np.loadtxt(folder / "datasets" / "data" / file, delimiter=",", skiprows=header)
    except (OSError, ValueError) as error:
        raise DataError(f"scikit-learn's file {file} cannot be read ({error}); reinstall scikit-learn") from error
    return Split(inputs=torch.from_numpy(table[:, :-1]).float(), target=torch.from_numpy(table[:, -1]).long())


def _register(
    name: str, title: str, rows: int, shape: tuple[int, ...], file: str, header: int, classes: tuple[str, ...]
) -> None:
    kind: Kind = "images" if len(shape) == 3 else "features"

    def read(folder: Path) -> Tables:
        found = _rows(file, header)
        if kind == "images":
            # Pixels count to 16; times 15 they use the byte range that every other image set uses.
            found = Split(inputs=(found.inputs * 15).to(torch.uint8).view(-1, *shape), target=found.target)
        return Tables(train=found, class_names=classes)

    register(
        Source(
            name=name,
            title=title,
            kind=kind,
            rows=rows,
            shape=shape,
            classes=len(classes),
            test_rows=0,
            licence=_LICENCE,
            origin=_ORIGIN,
            read=read,
        )
    )


_DIGITS = tuple(map(str, range(10)))
_WINE = ("class_0", "class_1", "class_2")
_IRIS = ("setosa", "versicolor", "virginica")
_CANCER = ("malignant", "benign")

_register("digits", "UCI handwritten digits, 64 features", 1797, (64,), "digits.csv.gz", 0, _DIGITS)
_register("digits-images", "UCI handwritten digits, 8x8 grey images", 1797, (1, 8, 8), "digits.csv.gz", 0, _DIGITS)
_register("wine", "UCI wine, 13 features", 178, (13,), "wine_data.csv", 1, _WINE)
_register("iris", "UCI iris, 4 features", 150, (4,), "iris.csv", 1, _IRIS)
_register("breast-cancer", "UCI breast cancer, 30 features", 569, (30,), "breast_cancer.csv", 1, _CANCER)
