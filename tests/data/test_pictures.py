"""CINIC-10 and Tiny ImageNet: small archives in the true format."""

import io
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lossbench import data
from lossbench.data import archive
from lossbench.errors import DataError
from lossbench.spec import DataSpec


def picture(grey: int, size: int, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), grey, np.uint8)).save(content, kind, quality=100)
    return content.getvalue()


def serve(name: str, path, monkeypatch) -> None:
    """Let a data set fetch that file in place of its archive."""
    keywords = data.get(name).read.keywords
    monkeypatch.setitem(keywords, "remote", replace(keywords["remote"], url=path.as_uri(), md5=archive.md5_of(path)))


def tar_of(path, contents: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as bundle:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))


CINIC = {
    "./train/cat/b.png": picture(30, 32),
    "./train/airplane/a.png": picture(10, 32),
    "./valid/truck/c.png": picture(90, 32),
    "./test/dog/d.png": picture(50, 32),
    "./README.md": b"not a picture",
}


def test_cinic_joins_training_and_validation_pictures(tmp_path, monkeypatch):
    tar_of(tmp_path / "cinic.tar.gz", CINIC)
    serve("cinic10", tmp_path / "cinic.tar.gz", monkeypatch)
    dataset = data.load(DataSpec(name="cinic10"), tmp_path / "data")
    assert dataset.train.target.tolist() == [0, 3, 9]
    assert dataset.train.inputs.amax(dim=(1, 2, 3)).tolist() == [10, 30, 90]
    assert dataset.test.target.tolist() == [5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"./train/cat/b.png": picture(30, 28)}, "train/cat/b.png is 28x28, expected 32x32"),
        ({"./train/cat/b.png": b"text"}, "is not a picture"),
        ({"./train/kitten/b.png": picture(30, 32)}, "class 'kitten', which is none of the 10"),
        ({"./test/dog/d.png": None}, "holds no pictures to test with"),
        ({"./../evil.png": b""}, "leads outside"),
    ],
)
def test_an_archive_of_other_pictures_is_refused_and_nothing_is_kept(change, message, tmp_path, monkeypatch):
    contents = {name: content for name, content in (CINIC | change).items() if content is not None}
    tar_of(tmp_path / "cinic.tar.gz", contents)
    serve("cinic10", tmp_path / "cinic.tar.gz", monkeypatch)
    with pytest.raises(DataError, match=message) as caught:
        data.load(DataSpec(name="cinic10"), tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data" / "cinic10").exists()


def test_tiny_imagenet_tests_on_its_listed_validation_pictures(tmp_path, monkeypatch):
    path = tmp_path / "tiny.zip"
    names = [f"n{number:08d}" for number in range(200)]
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("tiny-imagenet-200/wnids.txt", "\n".join(reversed(names)))
        bundle.writestr("tiny-imagenet-200/val/val_annotations.txt", "val_0.JPEG\tn00000007\t0\t0\t9\t9\n")
        bundle.writestr("tiny-imagenet-200/val/images/val_0.JPEG", picture(70, 64, "JPEG"))
        bundle.writestr("tiny-imagenet-200/test/images/test_0.JPEG", picture(1, 64, "JPEG"))
        for number in (199, 3):
            bundle.writestr(f"tiny-imagenet-200/train/{names[number]}/images/x_0.JPEG", picture(number, 64, "JPEG"))
    serve("tiny-imagenet", path, monkeypatch)
    dataset = data.load(DataSpec(name="tiny-imagenet"), tmp_path / "data")
    assert dataset.train.target.tolist() == [3, 199]
    assert (dataset.test.target.tolist(), dataset.shape) == ([7], (3, 64, 64))
