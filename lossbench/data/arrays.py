"""The documented layout of an image set: `<data-dir>/<name>/{train,test}.npz`.

Each file holds `images` uint8 [N, H, W, C] (or [N, H, W] for grey), `labels` integer [N] and, where the set has
superclasses, `coarse_labels` integer [N]. It is also the form in which a downloaded archive is kept once it has been
read, so that there is one way to load a set and users can bring their own.
"""

import hashlib
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data.archive import replacing
from lossbench.data.types import Split
from lossbench.errors import DataError

__all__ = ["RECEIPT", "column", "prepared", "read"]

RECEIPT = "SHA256SUMS"
"""Written beside the files of a set that was made from its verified archive, in the form that `sha256sum -c` reads."""

Arrays = dict[str, Any]
"""Names and contents of the arrays of one file."""


def prepared(
    folder: Path, name: str, *, shape: tuple[int, ...], classes: int, make: Callable[[], dict[str, Arrays]]
) -> tuple[Split, Split]:
    """The training and test rows of a set, from files that are made first where they are not there yet.

    Args:
        make: reads the set in its publisher's form and gives the arrays of `train` and of `test`.
    """
    files = {split: folder / name / f"{split}.npz" for split in ("train", "test")}
    if not all(file.exists() for file in files.values()):
        _write(make(), files)
        with replacing(folder / name / RECEIPT) as receipt:
            for path in files.values():
                receipt.write(f"{_digest(path)}  {path.name}\n".encode())
    train, test = (read(file, shape=shape, classes=classes) for file in files.values())
    return train, test


def _write(tables: dict[str, Arrays], files: dict[str, Path]) -> None:
    """Write the arrays of each split, which nothing refers to afterwards."""
    for split, path in files.items():
        with replacing(path) as file:
            np.savez(file, **tables[split])


def read(path: Path, *, shape: tuple[int, ...], classes: int) -> Split:
    """Read one file of the layout.

    Args:
        shape: (C, H, W) that every image must have.
        classes: labels must lie from 0 to one less.
    Raises:
        DataError: unreadable, an array is missing, or of another shape, type or range than promised.
    """
    arrays = _opened(path, ("images", "labels"))
    missing = [name for name in ("images", "labels") if name not in arrays]
    if missing:
        raise DataError(f"{path} holds no array {' and no array '.join(missing)}")
    images, labels = arrays["images"], arrays["labels"]
    if images.ndim == 3:
        images = images[..., None]
    channels, height, width = shape
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
        raise DataError(
            f"{path}: images are {images.dtype} of shape {list(images.shape)}, expected uint8 [N, {height}, {width}, "
            f"{channels}]"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise DataError(
            f"{path}: labels are {labels.dtype} of shape {list(labels.shape)}, expected one integer for each of the "
            f"{len(images)} images"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path}: labels run from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}")
    return Split(
        inputs=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        target=torch.from_numpy(labels.astype(np.int64)),
    )


def column(path: Path, name: str) -> Tensor | None:
    """One more integer array [N] of a file; None where the file does not hold it."""
    values = _opened(path, (name,)).get(name)
    return None if values is None else torch.from_numpy(values.astype(np.int64))


def _opened(path: Path, names: Collection[str]) -> Arrays:
    try:
        # numpy leaves a file it cannot read open, unless it was opened for it.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return {name: file[name] for name in names if name in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable npz file: {error}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
