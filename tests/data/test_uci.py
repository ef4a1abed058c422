"""The UCI collection: small files in the true format, the published folds, and the real sets where they are at hand."""

import pytest
import torch

from lossbench import data
from lossbench.data._uci121 import OWN_TEST, SIZES
from lossbench.errors import DataError, UsageError
from lossbench.spec import DataSpec

IRIS = DataSpec(name="uci-iris")


def table(rows: int, features: int, classes: int, shift: float = 0.0) -> str:
    """A file as the publisher writes it: row number first, class last, tabs between."""
    lines = ["\t".join(["", *(f"f{number + 1}" for number in range(features)), "clase"])]
    for row in range(rows):
        values = [f"{row + number / 10 + shift:.6g}" for number in range(features)]
        lines.append("\t".join([str(row + 1), *values, str(row % classes)]))
    return "\n".join(lines) + "\n"


@pytest.fixture
def iris(tmp_path):
    """A data folder with eight made-up irises and four folds."""
    home = tmp_path / "uci121" / "iris"
    home.mkdir(parents=True)
    (home / "iris_R.dat").write_text(table(8, 4, 3))
    folds = [("0 1 2 3 4 5", "6 7"), ("2 3 4 5 6 7", "0 1"), ("0 1 4 5 6 7", "2 3"), ("0 1 2 3 6 7", "4 5")]
    (home / "conxuntos_kfold.dat").write_text("".join(f"{train} \n{test} \n" for train, test in folds))
    return tmp_path


def test_a_fold_is_the_published_rows(iris):
    dataset = data.load(DataSpec(name="uci-iris", fold=1), iris)
    assert dataset.train.inputs[:, 0].tolist() == [2, 3, 4, 5, 6, 7]
    assert dataset.test.inputs[:, 0].tolist() == [0, 1]
    assert dataset.test.target.tolist() == [0, 1]


def test_a_set_with_a_test_file_uses_it(tmp_path):
    home = tmp_path / "uci121" / "hayes-roth"
    home.mkdir(parents=True)
    (home / "hayes-roth_train_R.dat").write_text(table(6, 3, 3))
    (home / "hayes-roth_test_R.dat").write_text(table(3, 3, 3, shift=100))
    dataset = data.load(DataSpec(name="uci-hayes-roth"), tmp_path)
    assert (len(dataset.train), dataset.test.inputs[:, 0].tolist()) == (6, [100, 101, 102])
    with pytest.raises(UsageError, match=r"data\.fold is 1, but uci-hayes-roth is published with no folds"):
        data.load(DataSpec(name="uci-hayes-roth", fold=1), tmp_path)


def test_a_fold_that_does_not_exist_is_refused(iris):
    with pytest.raises(UsageError, match="published with folds 0 to 3"):
        data.load(DataSpec(name="uci-iris", fold=4), iris)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("conxuntos_kfold.dat", None, "conxuntos_kfold.dat is missing; unpack http"),
        ("iris_R.dat", None, "iris_R.dat is missing"),
        ("conxuntos_kfold.dat", "0 1\n2 3\n", "has 2 lines, expected 8"),
        ("conxuntos_kfold.dat", "0 8\n" * 8, "names row 8, but the table has rows 0 to 7"),
        ("conxuntos_kfold.dat", "0 one\n" * 8, "not lists of row numbers"),
        ("iris_R.dat", table(8, 3, 3), r"\[8, 4\] values, expected \[N, 5\]"),
        ("iris_R.dat", table(8, 4, 5), "classes run from 0 to 4, expected 0 to 2"),
        ("iris_R.dat", table(8, 4, 3).replace("0.1", "?"), "not a table of numbers"),
        ("iris_R.dat", table(8, 4, 3).replace("\t0.1\t", "\t\t"), "missing or not finite"),
        ("iris_R.dat", "", "not a table of numbers"),
    ],
)
def test_a_damaged_folder_is_one_line(file, content, message, iris):
    path = iris / "uci121" / "iris" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        data.load(IRIS, iris)
    assert "\n" not in str(caught.value)


def test_every_real_set_has_its_published_size_and_folds_that_share_no_row(real_data):
    folder = real_data("uci121")
    for name, (rows, features, classes) in SIZES.items():
        if name == "miniboone":  # its table is not in the collection at hand
            continue
        tables = data.get(f"uci-{name}").read(folder)
        assert len(tables.train) + len(tables.test or ()) == rows, name
        assert tables.train.inputs.shape[1] == features
        assert len(tables.class_names) == classes
        assert len(tables.folds) == (0 if name in OWN_TEST else 4)
        for train, test in tables.folds:
            assert torch.equal(torch.cat([train, test]).sort().values, torch.arange(rows)), name
