"""Spaces and searches: what is read, what is named, and that the same search asks the same."""

import numpy as np
import pytest

from lossbench.errors import UsageError
from lossbench.search import Dimension, grid, parse_space, search

LR = parse_space("optimizer.lr=log:0.01..1")
GAMMA = parse_space("loss.gamma=0.5..5")
BATCH = parse_space("batch_size=16,32,64")


def test_a_space_is_read():
    assert Dimension(field="optimizer.lr", low=0.01, high=1.0, log=True) == LR
    assert Dimension(field="loss.gamma", low=0.5, high=5.0) == GAMMA
    assert BATCH.choices == ("16", "32", "64")
    assert [LR.at(share) for share in (0, 0.5, 1)] == ["0.01", "0.1", "1"]
    assert [BATCH.at(share) for share in (0, 0.5, 1)] == ["16", "32", "64"]


@pytest.mark.parametrize(
    "text", ["lr", "lr=", "lr=5..1", "lr=log:0..1", "lr=1..", "lr=a..b", "lr=1,,2", "lr=log:-1..2"]
)
def test_what_is_no_space_is_refused(text):
    with pytest.raises(UsageError):
        parse_space(text)


def test_a_grid_is_as_large_as_the_trials_allow_and_even():
    found = grid([LR, GAMMA], 20)
    assert len(found) == 16
    assert {gamma for _, gamma in found} == {"0.5", "2", "3.5", "5"}
    assert len(grid([LR], 20)) == 20
    assert len(grid([BATCH, LR], 20)) == 18
    assert grid([LR], 1) == [("0.1",)]
    with pytest.raises(UsageError, match="more than --trials 2"):
        grid([BATCH], 2)


@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
def test_the_same_search_asks_the_same(method):
    def asked():
        made = search(method, [LR, BATCH], 20)
        settings = []
        for trial in range(15):
            settings.append(made.ask(trial))
            made.tell(trial, -abs(np.log10(float(settings[-1][0])) + 1))
        return settings

    settings = asked()
    assert settings == asked()
    assert all(0.01 <= float(lr) <= 1 and batch in BATCH.choices for lr, batch in settings)
    assert len(set(settings)) > 10


def test_random_draws_of_a_field_are_the_same_whatever_else_is_searched():
    alone, together = search("random", [LR], 20), search("random", [GAMMA, LR], 20)
    assert [alone.ask(trial)[0] for trial in range(9)] == [together.ask(trial)[1] for trial in range(9)]


def test_tpe_learns_and_bears_lost_trials():
    made = search("tpe", [LR], 60)
    values = []
    for trial in range(60):
        values.append(float(made.ask(trial)[0]))
        made.tell(trial, None if trial % 7 == 3 else -(np.log10(values[-1] / 0.3) ** 2))
    assert np.abs(np.log10(np.array(values[-20:]) / 0.3)).mean() < np.abs(np.log10(np.array(values[:10]) / 0.3)).mean()
