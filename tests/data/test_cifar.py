"""CIFAR: the true archive format, the array layout, and the real set where it is at hand."""

import hashlib
import io
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from lossbench import data
from lossbench.data import archive, cifar
from lossbench.data._pickles import load
from lossbench.errors import DataError
from lossbench.spec import DataSpec

ROWS = 20


def pickled(classes: dict[str, int], seed: int) -> tuple[bytes, np.ndarray]:
    """One batch as the author's archive holds it: rows of 3072 bytes, red plane first."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (ROWS, 3072), dtype=np.uint8)
    labels = {key: [row % count for row in range(ROWS)] for key, count in classes.items()}
    return pickle.dumps({"data": pixels, **labels, "filenames": ["x.png"] * ROWS}, protocol=2), pixels


def small_archive(folder, monkeypatch, name: str, parts: dict[str, tuple[dict[str, int], int]]):
    """Serve a small archive of the true format under the data set's name."""
    source = data.get(name)
    remote = replace(source.read.keywords["remote"], url=(folder / "served.tar.gz").as_uri())
    pixels = {}
    with tarfile.open(folder / "served.tar.gz", "w:gz") as bundle:
        for member, (classes, seed) in parts.items():
            content, pixels[member] = pickled(classes, seed)
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))
    monkeypatch.setitem(source.read.keywords, "remote", replace(remote, md5=archive.md5_of(folder / "served.tar.gz")))
    return pixels


CIFAR100 = {
    "cifar-100-python/train": ({"fine_labels": 100, "coarse_labels": 20}, 0),
    "cifar-100-python/test": ({"fine_labels": 100, "coarse_labels": 20}, 1),
}
CIFAR10 = {f"cifar-10-batches-py/data_batch_{part}": ({"labels": 10}, part) for part in range(1, 6)} | {
    "cifar-10-batches-py/test_batch": ({"labels": 10}, 6)
}


@pytest.mark.parametrize(("name", "parts"), [("cifar100", CIFAR100), ("cifar10", CIFAR10)])
def test_an_archive_is_fetched_once_and_kept_as_arrays(name, parts, tmp_path, monkeypatch):
    pixels = small_archive(tmp_path, monkeypatch, name, parts)
    folder = tmp_path / "data"
    first = data.load(DataSpec(name=name), folder)
    last = list(pixels.values())[-1]
    assert np.array_equal(first.test.inputs.numpy().reshape(ROWS, 3072), last)
    assert len(first.train) == ROWS * (len(parts) - 1)
    for served in (tmp_path / "served.tar.gz", *folder.glob("*.tar.gz")):
        served.unlink()
    again = data.load(DataSpec(name=name), folder)
    assert torch.equal(first.train.inputs, again.train.inputs)
    assert torch.equal(first.train.target, again.train.target)


def test_an_archive_without_the_expected_member_is_refused(tmp_path, monkeypatch):
    small_archive(tmp_path, monkeypatch, "cifar100", {"cifar-100-python/train": CIFAR100["cifar-100-python/train"]})
    with pytest.raises(DataError, match="holds no cifar-100-python/test"):
        data.load(DataSpec(name="cifar100"), tmp_path / "data")
    assert not (tmp_path / "data" / "cifar100").exists()


def test_a_pickle_that_wants_to_run_code_is_refused():
    with pytest.raises(DataError, match=r"posix\.system|nt\.system|os\.system"):
        load(io.BytesIO(b"cos\nsystem\n(S'true'\ntR."), "train")


IMAGES, LABELS = np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES}, "no array labels"),
        ({"images": np.zeros((4, 28, 28, 3), np.uint8), "labels": LABELS}, r"shape \[4, 28, 28, 3\], expected uint8"),
        ({"images": IMAGES.astype(float), "labels": LABELS}, "images are float64"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "one integer for each of the 4"),
        ({"images": IMAGES, "labels": LABELS.astype(float)}, "labels are float64"),
        ({"images": IMAGES, "labels": LABELS + 100}, "from 100 to 100, expected 0 to 99"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "shape \\[0\\]"),
    ],
)
def test_arrays_of_another_form_are_refused_by_name(arrays, message, tmp_path):
    (tmp_path / "cifar100").mkdir()
    for split in ("train", "test"):
        np.savez(tmp_path / "cifar100" / f"{split}.npz", **arrays)
    with pytest.raises(DataError, match=message):
        data.load(DataSpec(name="cifar100"), tmp_path)


def test_a_cut_off_array_file_is_refused(tmp_path):
    (tmp_path / "cifar100").mkdir()
    np.savez(tmp_path / "cifar100" / "train.npz", images=IMAGES, labels=LABELS)
    whole = (tmp_path / "cifar100" / "train.npz").read_bytes()
    for split in ("train", "test"):
        (tmp_path / "cifar100" / f"{split}.npz").write_bytes(whole[:-40])
    with pytest.raises(DataError, match="not a readable npz file"):
        data.load(DataSpec(name="cifar100"), tmp_path)


def test_the_names_of_the_classes_are_in_the_order_of_the_labels():
    names = data.get("cifar100").read.keywords["class_names"]
    assert len(names) == len(set(names)) == 100
    assert list(names) == sorted(names)
    assert cifar._CIFAR10_NAMES.split()[3] == "cat"


def test_the_real_set_is_read_pixel_for_pixel(real_data):
    dataset = data.load(DataSpec(name="cifar100", normalize="channel"), real_data("cifar100"))
    digest = hashlib.sha256(dataset.test.inputs.numpy().tobytes()).hexdigest()
    assert digest == "83c56492b2c11211ad1bb2dbd4f2eef4170a0441e41a41f3039c3144b1f5a511"
    assert torch.bincount(dataset.train.target).tolist() == [500] * 100
    mean = -dataset.shift.double() / (dataset.scale.double() * 255)
    expected = torch.tensor([0.50707516, 0.48654887, 0.44091784], dtype=torch.float64)
    torch.testing.assert_close(mean.flatten(), expected, atol=1e-6, rtol=0)
