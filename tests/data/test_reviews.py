"""Women's clothing reviews: from text to word numbers, wrong tables, and the real one where it is at hand."""

import pytest
import torch

from lossbench import data
from lossbench.data.reviews import LENGTH, PADDING, UNKNOWN, encode
from lossbench.errors import DataError, UsageError
from lossbench.spec import DataSpec

SPEC = DataSpec(name="womens-clothing", test=0.5)
HEADER = ",Review Text,Rating\n"


def write(folder, text: str) -> None:
    (folder / "womens_clothing").mkdir()
    (folder / "womens_clothing" / "reviews.csv").write_text(text)


def test_words_are_numbered_by_frequency_then_alphabet():
    inputs, vocabulary = encode(["It's RED, red; red!", "a red dress-a dress", "it's 42 unique"])
    numbers = {"red": 2, "a": 3, "dress": 4, "it's": 5}
    assert inputs[0, :5].tolist() == [numbers["it's"], 2, 2, 2, PADDING]
    assert inputs[1, :5].tolist() == [3, 2, 4, 3, 4]
    assert inputs[2, :3].tolist() == [numbers["it's"], UNKNOWN, PADDING]
    assert (inputs.shape, vocabulary) == ((3, LENGTH), 6)


def test_long_reviews_are_cut():
    inputs, vocabulary = encode(["good " * 100])
    assert inputs.tolist() == [[2] * LENGTH]
    assert vocabulary == 3


def test_rows_without_text_are_left_out_and_ratings_count_from_zero(tmp_path):
    rows = "".join(
        f"{row},{text},{row % 5 + 1}\n" for row, text in enumerate(["nice dress", "", "bad dress", "ok"] * 5)
    )
    write(tmp_path, HEADER + rows)
    dataset = data.load(SPEC, tmp_path)
    assert len(dataset.train) + len(dataset.test) == 15
    assert dataset.train.target.min() >= 0
    assert dataset.train.target.max() <= 4
    assert (dataset.kind, dataset.shape, dataset.train.inputs.dtype) == ("tokens", (LENGTH, 6), torch.int64)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (",Review,Rating\n1,nice,5\n", "no column 'Review Text'; it has"),
        (",Review,Stars\n1,nice,5\n", "no column 'Review Text' and no column 'Rating'"),
        (HEADER + "1,nice,6\n", "a rating from 1 to 5"),
        (HEADER + "1,nice,\n", "a rating from 1 to 5"),
        (HEADER, "a rating from 1 to 5"),
        ("", "is not a CSV table"),
        ('a,b\n1,2,3\n"', "is not a CSV table"),
    ],
)
def test_a_wrong_table_is_one_line(table, message, tmp_path):
    write(tmp_path, table)
    with pytest.raises(DataError, match=message) as caught:
        data.load(SPEC, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_table_says_where_it_is_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"womens_clothing/reviews\.csv is missing; .*kaggle.*--data-dir"):
        data.load(SPEC, tmp_path)


@pytest.mark.parametrize("fields", [{"normalize": "feature"}, {"flip": True}])
def test_words_are_neither_normalised_nor_augmented(fields, tmp_path):
    with pytest.raises(UsageError, match="womens-clothing has"):
        data.load(DataSpec(name="womens-clothing", test=0.5, **fields), tmp_path)


def test_the_real_table_has_its_published_ratings(real_data):
    folder = real_data("womens_clothing")
    rows = data.get("womens-clothing").read(folder).train
    assert len(rows) == data.get("womens-clothing").rows
    assert (rows.inputs != PADDING).any(dim=1).all()
    assert torch.bincount(rows.target).argmax() == 4
