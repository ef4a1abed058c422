"""Sets published as archives of picture files: CINIC-10 and Tiny ImageNet."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lossbench.data import arrays
from lossbench.data.archive import Remote, each_member, fetch, members
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
    archive: Path, place: Callable[[str], Place | None], names: tuple[str, ...], size: tuple[int, int]
) -> dict[str, arrays.Arrays]:
    """The pictures that `place` gives a split and a class, in the order of their names there.

    The archive is gone through twice, for the names and for the pictures, so that each picture is decoded into its
    final place and memory holds the set once.
    """

    def located(name: str, _: object) -> Place | None:
        return place(name)

    listed = tracked(
        each_member(archive, lambda name: place(name) is not None, located), f"{archive.name}: listing pictures"
    )
    places = {name: at for name, at in listed if at is not None}
    rows = {split: sorted(name for name, at in places.items() if at[0] == split) for split in ("train", "test")}
    if missing := [split for split, each in rows.items() if not each]:
        raise DataError(f"{archive} holds no pictures to {' or '.join(missing)} with")
    if strange := [name for name in places if places[name][1] not in names]:
        raise DataError(
            f"{archive}: {strange[0]} belongs to class {places[strange[0]][1]!r}, which is none of the "
            f"{len(names)} expected"
        )
    images = {split: np.empty((len(each), *size, 3), dtype=np.uint8) for split, each in rows.items()}
    seats = {name: (split, row) for split, each in rows.items() for row, name in enumerate(each)}
    decoded = tracked(members(archive, places.__contains__), f"{archive.name}: decoding pictures", len(places))
    for name, content in decoded:
        split, row = seats[name]
        images[split][row] = _decoded(content, f"{archive}:{name}", size)
    return {
        split: {"images": images[split], "labels": np.array([names.index(places[name][1]) for name in each])}
        for split, each in rows.items()
    }


def _cinic_place(name: str) -> Place | None:
    parts = PurePosixPath(name).parts
    if not name.endswith(".png") or len(parts) < 3 or parts[-3] not in _CINIC_SPLITS:
        return None
    return _CINIC_SPLITS[parts[-3]], parts[-2]


def _cinic(folder: Path, *, remote: Remote) -> Tables:
    def make() -> dict[str, arrays.Arrays]:
        archive = fetch(remote, folder, wanted_by="cinic10", layout=("cinic10/train.npz", remote.file))
        return _stacked(archive, _cinic_place, _CINIC_NAMES, (32, 32))

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
        return _stacked(archive, partial(_tiny_place, annotated=annotated), names, (64, 64))

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
        rows=270_000,
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
        rows=110_000,
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
