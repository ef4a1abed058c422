"""Women's Clothing E-Commerce Reviews (Agarap, arXiv 1805.03687): a rating of 1 to 5 from what a customer wrote.

Below the data folder, `womens_clothing/reviews.csv` is Kaggle's table as it stands; its columns `Review Text` and
`Rating` are used, and rows without text are left out. The text becomes whole numbers in four steps, none of which the
mixing paper (arXiv 2109.05635) states: lower case; words are runs of letters, with an apostrophe inside allowed; words
that occur once in the whole table are one unknown word; the first 70 words count. Number 0 fills short reviews up.
"""

import re
from collections import Counter
from pathlib import Path

import torch

from lossbench.data.registry import register
from lossbench.data.types import Source, Split, Tables
from lossbench.errors import DataError

__all__ = ["LENGTH", "PADDING", "UNKNOWN", "encode"]

LENGTH = 70
PADDING, UNKNOWN = 0, 1
_FILE = "womens_clothing/reviews.csv"
_ORIGIN = "https://www.kaggle.com/datasets/nicapotato/womens-ecommerce-clothing-reviews"
_TEXT, _RATING = "Review Text", "Rating"
_RATINGS = 5
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


def encode(texts: list[str]) -> tuple[torch.Tensor, int]:
    """Texts as word numbers [D, LENGTH], and how many numbers there are; frequent words have small ones."""
    words = [_WORD.findall(text.lower()) for text in texts]
    counts = Counter(word for row in words for word in row)
    # Equally frequent words are ordered by the alphabet, so that numbers do not hang on the order of the rows.
    known = sorted((word for word, count in counts.items() if count > 1), key=lambda word: (-counts[word], word))
    number = {word: place for place, word in enumerate(known, start=UNKNOWN + 1)}
    encoded = torch.full((len(words), LENGTH), PADDING)
    for row, sequence in enumerate(words):
        numbers = [number.get(word, UNKNOWN) for word in sequence[:LENGTH]]
        encoded[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
    return encoded, len(number) + UNKNOWN + 1


def _read(folder: Path) -> Tables:
    import pandas as pd  # half a second that only this set and the UCI tables need

    path = folder / _FILE
    if not path.is_file():
        raise DataError(
            f"{path} is missing; save the table from {_ORIGIN} under that name, or name a folder that holds it with "
            "--data-dir or LOSSBENCH_DATA"
        )
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is not a CSV table: {' '.join(str(error).split())}") from error
    if missing := [name for name in (_TEXT, _RATING) if name not in table]:
        raise DataError(f"{path} has no column {' and no column '.join(map(repr, missing))}; it has {list(table)}")
    table = table[table[_TEXT].notna()]
    if not len(table) or not table[_RATING].isin(range(1, _RATINGS + 1)).all():
        raise DataError(f"{path}: every row with text needs a rating from 1 to {_RATINGS}")
    inputs, vocabulary = encode(table[_TEXT].tolist())
    return Tables(
        train=Split(inputs=inputs, target=torch.tensor(table[_RATING].tolist(), dtype=torch.int64) - 1),
        vocabulary=vocabulary,
        class_names=tuple(f"rating {rating}" for rating in range(1, _RATINGS + 1)),
    )


register(
    Source(
        name="womens-clothing",
        title="Women's clothing reviews, rating from text",
        kind="tokens",
        rows=22_641,
        shape=(LENGTH, 0),
        classes=_RATINGS,
        test_rows=0,
        licence="CC0, as Kaggle lists it",
        origin=_ORIGIN,
        layout=(_FILE,),
        read=_read,
    )
)
