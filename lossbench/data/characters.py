"""28x28 grey characters and clothes in the idx format of MNIST: EMNIST-Letters and Fashion-MNIST."""

import gzip
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lossbench.data import arrays
from lossbench.data.archive import Remote, fetch, members
from lossbench.data.progress import tracked
from lossbench.data.registry import register
from lossbench.data.types import Source, Tables
from lossbench.errors import DataError

_SHAPE = (1, 28, 28)

_FASHION_NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_FASHION_RAW = "FashionMNIST/raw"
_FASHION_MD5 = {  # as in torchvision
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}

_EMNIST = Remote(
    url="https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    file="EMNIST/raw/gzip.zip",
    md5="58c8d27c78d21e728a6bc7b3cc06412e",  # as in torchvision
)


def idx(content: bytes, source: str) -> Any:
    """Read one array of bytes in the idx format; `source` is what error messages call it.

    Raises:
        DataError: it is not that format, or cut off.
    """
    zeros, kind, dimensions = struct.unpack_from(">HBB", content) if len(content) >= 4 else (1, 0, 0)
    if zeros or kind != 8 or len(content) < 4 + 4 * dimensions:
        raise DataError(f"{source} is not an idx file of bytes")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape):
        raise DataError(f"{source} is cut off: it holds {values.size} values, expected {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def _fashion(folder: Path) -> Tables:
    def make() -> dict[str, arrays.Arrays]:
        names = tracked(_FASHION_MD5, "fashion-mnist: reading files", len(_FASHION_MD5))
        contents = {name: idx(_fashion_file(folder, name), f"{_FASHION_RAW}/{name}") for name in names}
        return {
            split: {
                "images": contents[f"{prefix}-images-idx3-ubyte"],
                "labels": contents[f"{prefix}-labels-idx1-ubyte"].astype(np.int64),
            }
            for split, prefix in (("train", "train"), ("test", "t10k"))
        }

    train, test = arrays.prepared(folder, "fashion-mnist", shape=_SHAPE, classes=len(_FASHION_NAMES), make=make)
    return Tables(train=train, test=test, class_names=_FASHION_NAMES)


def _fashion_file(folder: Path, name: str) -> bytes:
    unpacked = folder / _FASHION_RAW / name
    if unpacked.is_file():
        return unpacked.read_bytes()
    remote = Remote(url=f"{_FASHION_URL}{name}.gz", file=f"{_FASHION_RAW}/{name}.gz", md5=_FASHION_MD5[name])
    path = fetch(remote, folder, wanted_by="fashion-mnist", layout=(f"{_FASHION_RAW}/{name}", remote.file))
    return _unzipped(path.read_bytes(), str(path))


def _emnist(folder: Path, *, remote: Remote) -> Tables:
    def make() -> dict[str, arrays.Arrays]:
        path = fetch(remote, folder, wanted_by="emnist-letters", layout=("emnist-letters/train.npz", remote.file))
        splits = tracked(("train", "test"), f"emnist-letters: reading {path.name}, splits", 2)
        return {split: _letters(path, split) for split in splits}

    names = tuple(chr(ord("a") + number) for number in range(26))
    train, test = arrays.prepared(folder, "emnist-letters", shape=_SHAPE, classes=len(names), make=make)
    return Tables(train=train, test=test, class_names=names)


def _letters(path: Path, split: str) -> arrays.Arrays:
    wanted = {
        f"gzip/emnist-letters-{split}-images-idx3-ubyte.gz": "images",
        f"gzip/emnist-letters-{split}-labels-idx1-ubyte.gz": "labels",
    }
    contents = {
        wanted[name]: idx(_unzipped(content, f"{path}:{name}"), f"{path}:{name}")
        for name, content in members(path, wanted.__contains__)
    }
    if missing := [name for name, array in wanted.items() if array not in contents]:
        raise DataError(f"{path} holds no {', '.join(missing)}; it is not the archive from {_EMNIST.url}")
    return {
        # The published files hold every picture on its side, and count letters from 1.
        "images": np.ascontiguousarray(contents["images"].swapaxes(1, 2)),
        "labels": contents["labels"].astype(np.int64) - 1,
    }


def _unzipped(content: bytes, source: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{source} is cut off or damaged: {error}") from error


register(
    Source(
        name="fashion-mnist",
        title="Fashion-MNIST, 28x28 clothes",
        kind="images",
        rows=70_000,
        shape=_SHAPE,
        classes=10,
        test_rows=10_000,
        licence="MIT (Zalando)",
        origin=_FASHION_URL,
        layout=(
            "fashion-mnist/train.npz",
            f"{_FASHION_RAW}/train-images-idx3-ubyte",
            f"{_FASHION_RAW}/train-images-idx3-ubyte.gz",
        ),
        kept="fashion-mnist/train.npz",
        read=_fashion,
    )
)
register(
    Source(
        name="emnist-letters",
        title="EMNIST Letters, 28x28 handwritten, cases merged",
        kind="images",
        rows=145_600,
        shape=_SHAPE,
        classes=26,
        test_rows=20_800,
        licence="public domain (NIST); the authors ask to be cited (arXiv 1702.05373)",
        origin=_EMNIST.url,
        layout=("emnist-letters/train.npz", _EMNIST.file),
        kept="emnist-letters/train.npz",
        read=partial(_emnist, remote=_EMNIST),
    )
)
