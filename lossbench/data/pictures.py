"""Sets published as archives of picture files: CINIC-10 and Tiny ImageNet."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lossbench.data import arrays
from lossbench.data.archive import Remote, fetch, members
from lossbench.data.progress import tracked
from lossbench.data.registry import register
from lossbench.data.types import Source, Tables
from lossbench.errors import DataError

_CINIC_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CINIC = Remote(
    url="https://datashare.is.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",
    file="CINIC-10.tar.gz",
    md5="6ee4d0c996905fe93221de577967a372",
)
# The paper of the expectation loss trains on both of the first two.
_CINIC_SPLITS = {"train": "train", "valid": "train", "test": "test"}

_TINY = Remote(
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    file="tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
)
_TINY_CLASSES = 200
_CINIC_ROWS, _TINY_ROWS = 270_000, 110_000

Place = tuple[str, str]
"""Split and class of a picture."""


def _decoded(content: bytes, source: str, size: tuple[int, int]) -> Any:
    """A picture file as bytes [H, W, 3]; grey pictures get three equal channels."""
    from PIL import Image, UnidentifiedImageError  # not every run needs pictures decoded

    try:
        with Image.open(io.BytesIO(content)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{source} is not a picture: {error}") from error
    if pixels.shape[:2] != size:
        raise DataError(f"{source} is {pixels.shape[1]}x{pixels.shape[0]}, expected {size[1]}x{size[0]}")
    return pixels


def _stacked(
    archive: Path, place: Callable[[str], Place | None], names: tuple[str, ...], size: tuple[int, int], rows: int
) -> dict[str, arrays.Arrays]:
    """The pictures, about `rows` of them, that `place` gives a split and a class, in the order of their names there."""
    found: dict[str, list[tuple[str, int, Any]]] = {"train": [], "test": []}
    wanted = members(archive, lambda name: place(name) is not None)
    for name, content in tracked(wanted, f"{archive.name}: decoding pictures", rows):
        split, label = place(name) or ("", "")
        if label not in names:
            raise DataError(f"{archive}: {name} belongs to class {label!r}, which is none of the {len(names)} expected")
        found[split].append((name, names.index(label), _decoded(content, f"{archive}:{name}", size)))
    if missing := [split for split, each in found.items() if not each]:
        raise DataError(f"{archive} holds no pictures to {' or '.join(missing)} with")
    ordered = {split: sorted(each, key=lambda row: row[0]) for split, each in found.items()}
    return {
        split: {"images": np.stack([row[2] for row in each]), "labels": np.array([row[1] for row in each])}
        for split, each in ordered.items()
    }


def _cinic_place(name: str) -> Place | None:
    parts = PurePosixPath(name).parts
    if not name.endswith(".png") or len(parts) < 3 or parts[-3] not in _CINIC_SPLITS:
        return None
    return _CINIC_SPLITS[parts[-3]], parts[-2]


def _cinic(folder: Path, *, remote: Remote) -> Tables:
    def make() -> dict[str, arrays.Arrays]:
        archive = fetch(remote, folder, wanted_by="cinic10", layout=("cinic10/train.npz", remote.file))
        return _stacked(archive, _cinic_place, _CINIC_NAMES, (32, 32), _CINIC_ROWS)

    train, test = arrays.prepared(folder, "cinic10", shape=(3, 32, 32), classes=len(_CINIC_NAMES), make=make)
    return Tables(train=train, test=test, class_names=_CINIC_NAMES)


def _tiny(folder: Path, *, remote: Remote) -> Tables:
    def make() -> dict[str, arrays.Arrays]:
        archive = fetch(remote, folder, wanted_by="tiny-imagenet", layout=("tiny-imagenet/train.npz", remote.file))
        texts = dict(members(archive, lambda name: name.endswith(("/wnids.txt", "/val_annotations.txt"))))
        try:
            names = tuple(sorted(texts["tiny-imagenet-200/wnids.txt"].decode().split()))
            rows = [
                line.split("\t")[:2]
                for line in texts["tiny-imagenet-200/val/val_annotations.txt"].decode().splitlines()
            ]
            annotated = dict(rows)
        except (KeyError, ValueError) as error:
            raise DataError(f"{archive} does not list the classes of its pictures: {error}") from error
        return _stacked(archive, partial(_tiny_place, annotated=annotated), names, (64, 64), _TINY_ROWS)

    train, test = arrays.prepared(folder, "tiny-imagenet", shape=(3, 64, 64), classes=_TINY_CLASSES, make=make)
    return Tables(train=train, test=test, class_names=tuple(f"class {number}" for number in range(_TINY_CLASSES)))


def _tiny_place(name: str, *, annotated: dict[str, str]) -> Place | None:
    """Training pictures lie in a folder of their class; the validation pictures, which serve as test, are listed."""
    path = PurePosixPath(name)
    if path.suffix != ".JPEG" or len(path.parts) < 4:
        return None
    if path.parts[1] == "train":
        return "train", path.parts[2]
    return ("test", annotated.get(path.name, "unlisted")) if path.parts[1] == "val" else None


register(
    Source(
        name="cinic10",
        title="CINIC-10, 32x32 photographs, training and validation parts joined",
        kind="images",
        rows=_CINIC_ROWS,
        shape=(3, 32, 32),
        classes=10,
        test_rows=90_000,
        licence="MIT for the selection; pictures keep CIFAR-10's and ImageNet's terms",
        origin=_CINIC.url,
        layout=("cinic10/train.npz", _CINIC.file),
        kept="cinic10/train.npz",
        read=partial(_cinic, remote=_CINIC),
    )
)
register(
    Source(
        name="tiny-imagenet",
        title="Tiny ImageNet, 64x64 photographs, published validation part as test",
        kind="images",
        rows=_TINY_ROWS,
        shape=(3, 64, 64),
        classes=_TINY_CLASSES,
        test_rows=10_000,
        licence="ImageNet's terms: research and education, not commercial",
        origin=_TINY.url,
        layout=("tiny-imagenet/train.npz", _TINY.file),
        kept="tiny-imagenet/train.npz",
        read=partial(_tiny, remote=_TINY),
    )
)
