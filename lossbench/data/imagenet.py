"""ImageNet (ILSVRC2012) as a folder of picture files, read batch by batch.

Below the data folder, `imagenet/train/<class>/` and `imagenet/val/<class>/` hold the pictures, a folder for each of the
1000 classes, named by its WordNet number: the layout of PyTorch's ImageNet recipe. `imagenet` may be a link to a folder
that others share; the list of its files is kept beside it in `imagenet.index.npz`, and made again when a folder of it
has changed. Classes are numbered in the order of their names. The published validation pictures serve as test.
"""

import os
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench.data.archive import replacing
from lossbench.data.progress import tracked
from lossbench.data.registry import register
from lossbench.data.streaming import Pictures
from lossbench.data.types import Source, Split, Tables
from lossbench.errors import DataError

_ORIGIN = "https://image-net.org/challenges/LSVRC/2012/"
_HOME = "imagenet"
_INDEX = "imagenet.index.npz"
_PARTS = ("train", "val")
_SUFFIXES = (".jpeg", ".jpg", ".png")
_CLASSES = 1000


def _read(folder: Path, *, classes: int) -> Tables:
    home = folder / _HOME
    folders = {part: _class_folders(home / part, classes) for part in _PARTS}
    class_names = tuple(each.name for each in folders["train"])
    if class_names != tuple(each.name for each in folders["val"]):
        raise DataError(f"{home}: train and val hold folders of different classes")
    # A folder's time changes with the files in it, and a thousand folders are asked in a moment, a million files not.
    stamps = np.array([[each.stat().st_mtime_ns for each in folders[part]] for part in _PARTS])
    index = _opened(folder / _INDEX)
    if index is None or index["classes"].tolist() != list(class_names) or not np.array_equal(index["stamps"], stamps):
        index = {"classes": np.array(class_names), "stamps": stamps, **_listed(home, folders)}
        with replacing(folder / _INDEX) as file:
            np.savez(file, **index)
    count = len(index["train"])
    return Tables(
        train=Split(inputs=torch.arange(count), target=torch.from_numpy(index["train_labels"])),
        test=Split(inputs=torch.arange(len(index["val"])) + count, target=torch.from_numpy(index["val_labels"])),
        pictures=partial(Pictures, home, np.concatenate([index[part] for part in _PARTS])),
        class_names=class_names,
    )


def _class_folders(home: Path, classes: int) -> list[Path]:
    if not home.is_dir():
        raise DataError(
            f"{home} is missing; unpack ILSVRC2012 from {_ORIGIN} so that {_HOME}/train and {_HOME}/val hold a folder "
            "of pictures for each class, or name a folder that holds it with --data-dir or LOSSBENCH_DATA"
        )
    found = sorted(each for each in home.iterdir() if each.is_dir())
    if len(found) != classes:
        raise DataError(f"{home} holds folders of {len(found)} classes, expected {classes}")
    return found


def _listed(home: Path, folders: dict[str, list[Path]]) -> dict[str, Any]:
    """The picture files of each part relative to `home`, by class and then by name, and their labels."""
    arrays: dict[str, Any] = {}
    for part in _PARTS:
        names: list[str] = []
        sizes = []
        for folder in tracked(folders[part], f"imagenet: listing {home / part}, folders", len(folders[part])):
            files = sorted(each.name for each in os.scandir(folder) if each.name.lower().endswith(_SUFFIXES))
            if not files:
                raise DataError(f"{folder} holds no pictures")
            names += [f"{part}/{folder.name}/{name}" for name in files]
            sizes.append(len(files))
        arrays[part] = np.array([name.encode() for name in names])
        arrays[f"{part}_labels"] = np.repeat(np.arange(len(sizes)), sizes)
    return arrays


def _opened(path: Path) -> dict[str, Any] | None:
    """The list as it was kept; None where there is none that can be read, for it is made from the folders alone."""
    wanted = ("classes", "stamps", *_PARTS, *(f"{part}_labels" for part in _PARTS))
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return {name: file[name] for name in wanted}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


register(
    Source(
        name="imagenet",
        title="ImageNet, photographs, published validation part as test",
        kind="images",
        rows=1_331_167,
        shape=(3, 224, 224),
        classes=_CLASSES,
        test_rows=50_000,
        licence="research and education, not commercial; ask at image-net.org",
        origin=_ORIGIN,
        layout=(f"{_HOME}/train",),
        kept=_INDEX,
        file_bytes=147_897_477_120 + 6_744_924_160,  # the two published archives
        read=partial(_read, classes=_CLASSES),
    )
)
