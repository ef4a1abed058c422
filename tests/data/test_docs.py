"""The list of data folders in the documents names every place the program looks at."""

from pathlib import Path

import pytest

from lossbench import data

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.mark.parametrize(
    "source",
    [each for each in data.catalogue() if each.layout and not each.name.startswith("uci-")],
    ids=lambda each: each.name,
)
def test_every_place_a_data_set_is_looked_for_is_documented(source):
    assert f"`{source.name}`" in TEXT
    for path in source.layout:
        assert f"`{path}`" in TEXT
