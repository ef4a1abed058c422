"""Suites: every one names presets and losses that exist, and the figures it quotes belong to them."""

from fnmatch import fnmatchcase

import pytest

from lossbench import presets, suites
from lossbench.errors import UsageError
from lossbench.losses import resolve
from lossbench.sweep import cells, expand, parse_seeds, request


@pytest.mark.parametrize("name", suites.available())
def test_a_suite_is_made_of_presets_losses_and_seeds_that_exist(name):
    suite = suites.load(name)
    assert suite.title
    losses = [resolve(text) for text in suite.losses]
    first = expand(suite.presets[:1], (), suite.grid)
    assert len(cells(first, losses, parse_seeds(suite.seeds))) == len(first) * len(set(losses)) * len(
        parse_seeds(suite.seeds)
    )
    # Runs are stored under canonical texts, which the figures must meet.
    assert tuple(map(str, losses)) == suite.losses
    for figure in suite.published:
        assert figure.loss in suite.losses
        assert any(fnmatchcase(preset, figure.preset) for preset in suite.presets), figure
        assert figure.source


def test_the_tables_of_the_mixing_paper_are_whole():
    for data, seeds in (("cifar100", (60, 253, 692, 1234)), ("cinic10", (60, 253, 1234))):
        suite = suites.load(f"mixing-table1-{data}")
        assert len(suite.presets) == 8
        assert {(each.preset, each.loss) for each in suite.published} == {
            (preset, loss) for preset in suite.presets for loss in suite.losses
        }
        assert parse_seeds(suite.seeds) == seeds
    table2 = suites.load("mixing-table2")
    assert (len(table2.presets), len(table2.published)) == (7, 7 * 4)
    table4 = suites.load("uci")
    assert (len(table4.presets), len(table4.losses)) == (242, 6)
    assert table4.grid == ("optimizer.lr=0.01,0.005,0.001",)
    assert len(suites.load("mixing-table5").presets) == 6
    assert len(suites.load("mixing-table6").presets) == 5


def test_a_sweep_takes_from_a_suite_what_the_command_does_not_say():
    suite = suites.load("uci")
    asked = request(["suite:uci"], (), None, ())
    assert (asked.presets, asked.losses, asked.seeds, asked.grid) == (suite.presets, suite.losses, "0,1", suite.grid)
    asked = request(["suite:uci"], ["ce"], "7,", ["data.fold=0,1"])
    assert (asked.presets, asked.losses, asked.seeds) == (suite.presets, ["ce"], "7,")
    assert asked.grid == (*suite.grid, "data.fold=0,1")
    plain = request(["digits-mlp"], (), None, ())
    assert (plain.presets, plain.losses, plain.seeds) == (["digits-mlp"], ("ce",), "5")
    with pytest.raises(UsageError, match="suite:uci is swept alone"):
        request(["suite:uci", "digits-mlp"], (), None, ())


def test_an_unknown_suite_gets_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'uci'"):
        suites.load("ucy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title = ", "is damaged"),
        ('title = "x"\nlosses = ["ce"]\nseeds = "3"', "is damaged: 'presets'"),
        ('title = "x"\npresets = ["digits-mlp"]\nlosses = ["ce"]', "is damaged.*seeds"),
        ('title = "x"\npresets = ["digits-mpl"]\nlosses = ["ce"]\nseeds = "3"', "did you mean 'digits-mlp'"),
    ],
)
def test_a_damaged_suite_is_one_line(content, message, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(content)
    monkeypatch.setattr(suites, "available", lambda: {"mine": tmp_path / "mine.toml"})
    assert "digits-mlp" in presets.available()
    with pytest.raises(UsageError, match=message) as caught:
        suites.load("mine")
    assert "\n" not in str(caught.value)
