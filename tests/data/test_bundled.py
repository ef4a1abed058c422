"""The bundled sets against scikit-learn's own loaders."""

import subprocess
import sys

import pytest
import torch
from sklearn import datasets

from lossbench import data


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("digits", datasets.load_digits),
        ("wine", datasets.load_wine),
        ("iris", datasets.load_iris),
        ("breast-cancer", datasets.load_breast_cancer),
    ],
)
def test_bundled_rows_are_scikit_learns(name, loader, tmp_path):
    expected, found = loader(), data.get(name).read(tmp_path)
    torch.testing.assert_close(found.train.inputs, torch.from_numpy(expected.data).float(), rtol=0, atol=0)
    assert found.train.target.tolist() == expected.target.tolist()
    assert found.class_names == tuple(map(str, expected.target_names))


def test_images_are_the_digits_with_their_shape(tmp_path):
    images = data.get("digits-images").read(tmp_path).train
    rows = datasets.load_digits()
    assert images.inputs.squeeze(1).tolist() == (rows.images * 15).astype(int).tolist()
    assert images.target.tolist() == rows.target.tolist()


def test_loading_them_does_not_import_scikit_learn():
    code = (
        "import sys; from pathlib import Path; from lossbench import data; data.get('digits').read(Path());"
        "sys.exit('sklearn' in sys.modules or 'torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
