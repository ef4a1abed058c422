"""EMNIST-Letters and Fashion-MNIST: small files in the true format, and the real Fashion-MNIST where it is at hand."""

import gzip
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from lossbench import data
from lossbench.data import archive
from lossbench.data.characters import idx
from lossbench.errors import DataError
from lossbench.spec import DataSpec


def idx_of(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def pictures(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, 28, 28), dtype=np.uint8)


def test_fashion_mnist_is_read_from_torchvisions_folder(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, rows in (("train", 12), ("t10k", 10)):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx_of(pictures(rows, rows)))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_of(np.arange(rows) % 10))
    dataset = data.load(DataSpec(name="fashion-mnist"), tmp_path)
    assert np.array_equal(dataset.train.inputs[:, 0].numpy(), pictures(12, 12))
    assert dataset.test.target.tolist() == list(range(10))


@pytest.fixture
def emnist(tmp_path, monkeypatch):
    """Serve a small archive in EMNIST's format and give the empty data folder it will be fetched into."""
    path = tmp_path / "gzip.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        for split, rows in (("train", 30), ("test", 26)):
            for kind, values in (("images-idx3", pictures(rows, rows)), ("labels-idx1", np.arange(rows) % 26 + 1)):
                bundle.writestr(f"gzip/emnist-letters-{split}-{kind}-ubyte.gz", gzip.compress(idx_of(values)))
    keywords = data.get("emnist-letters").read.keywords
    served = replace(keywords["remote"], url=path.as_uri(), md5=archive.md5_of(path))
    monkeypatch.setitem(keywords, "remote", served)
    return tmp_path / "data"


def test_emnist_letters_are_turned_upright_and_counted_from_zero(emnist):
    dataset = data.load(DataSpec(name="emnist-letters"), emnist)
    assert np.array_equal(dataset.train.inputs[:, 0].numpy(), pictures(30, 30).swapaxes(1, 2))
    assert dataset.test.target.tolist() == list(range(26))
    assert (dataset.classes, dataset.class_names[0], dataset.class_names[25]) == (26, "a", "z")
    assert (emnist / "emnist-letters" / "train.npz").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00", "not an idx file"),
        (b"\x00\x00\x08\x03\x00\x00", "not an idx file"),
        (idx_of(pictures(2, 0))[:-1], "cut off: it holds 1567 values, expected 2 x 28 x 28"),
    ],
)
def test_a_damaged_idx_file_is_one_line(content, message):
    with pytest.raises(DataError, match=message):
        idx(content, "train-images")


def test_a_damaged_archive_is_refused_and_nothing_is_kept(emnist):
    keywords = data.get("emnist-letters").read.keywords
    served = emnist.parent / "gzip.zip"
    served.write_bytes(served.read_bytes()[:-100])
    with pytest.raises(DataError, match="MD5"):
        data.load(DataSpec(name="emnist-letters"), emnist)
    keywords["remote"] = replace(keywords["remote"], md5=archive.md5_of(served))
    with pytest.raises(DataError, match="cut off or damaged"):
        data.load(DataSpec(name="emnist-letters"), emnist)
    assert not (emnist / "emnist-letters").exists()


def test_the_real_fashion_mnist_is_balanced_and_has_its_published_mean(real_data):
    dataset = data.load(DataSpec(name="fashion-mnist", normalize="channel"), real_data("fashion_mnist"))
    assert torch.bincount(dataset.train.target).tolist() == [6000] * 10
    assert torch.bincount(dataset.test.target).tolist() == [1000] * 10
    assert (-dataset.shift / dataset.scale / 255).item() == pytest.approx(0.2860, abs=5e-5)
