"""Counts of rows that change sides, on predictions whose counts are known."""

import json

import pytest

from lossbench.compare.flips import Group, flips
from lossbench.errors import ExitCode, NothingFound
from lossbench.events import PredictionsKept, now
from lossbench.journal import Journal
from lossbench.render.flips import flips_table
from lossbench.store import Selection, Store
from tests.cli.conftest import lossbench
from tests.compare.conftest import bench

__all__ = ["bench", "lossbench"]

EARLY = [(0, 0.9), (0, 0.6), (1, 0.3), (1, 0.25), (2, 0.2), (3, 0.1), (5, 0.01)]
"""Rank and p_y of seven rows: two right, two near, three far."""
LATE = [0, 1, 0, 1, 0, 2, 0]


def kept(home, run_id, epoch, ranks, shares):
    with Journal(home) as journal:
        journal.append(
            PredictionsKept(
                run_id=run_id, at=now(), epoch=epoch, split="test", label=[0] * len(ranks), predicted=[1] * len(ranks),
                rank=ranks, p_true=shares, p_max=shares,
            )
        )  # fmt: skip


@pytest.fixture
def two_seeds(bench):
    for seed in range(2):
        run = bench.run("ce", seed, 0.7)
        kept(bench.home, run, 3, LATE, [0.5] * 7)
        kept(bench.home, run, 1, *zip(*EARLY, strict=True))
    return bench


def test_rows_are_counted_by_how_they_stood(two_seeds):
    with Store.open(two_seeds.home) as store:
        first, second = flips(store, Selection())
        assert flips(store, Selection(), epoch=1) == (first, second)
        (low, _) = flips(store, Selection(), limit=0.05)
    assert (first.seed, second.seed, first.epoch, first.last) == (0, 1, 1, 3)
    assert first.right == Group(rows=2, right=1)
    assert first.near == Group(rows=2, right=1)
    assert first.far == Group(rows=3, right=2)
    assert low.far == Group(rows=1, right=1)
    assert low.near == Group(rows=4, right=2)


def test_seeds_are_summed_and_empty_groups_have_no_share(two_seeds):
    with Store.open(two_seeds.home) as store:
        table = flips_table(flips(store, Selection(), limit=0.0), 0.0)
    sums = [row[5:] for row in table.rows if row[2] is None]
    assert sums == [("right", 4, 2, 0.5), ("wrong, p_y > 0", 10, 6, 0.6), ("wrong, p_y <= 0", 0, 0, None)]


def test_without_an_earlier_epoch_there_is_nothing_to_count(bench):
    kept(bench.home, bench.run("ce", 0, 0.7), 3, LATE, [0.5] * 7)
    with Store.open(bench.home) as store, pytest.raises(NothingFound, match="keep_predictions"):
        flips(store, Selection())


def test_the_command_on_a_trained_run(lossbench):
    assert lossbench("run", "iris-linear", "-s", "epochs=4", "-s", "keep_predictions=[2]").code == 0
    rows = json.loads(lossbench("flips", "--format", "json").out)["rows"]
    assert [row["group"] for row in rows] == ["right", "wrong, p_y > 0.2", "wrong, p_y <= 0.2"]
    assert sum(row["rows"] for row in rows) == 45
    assert {(row["epoch"], row["last"]) for row in rows} == {(2, 4)}
    missing = lossbench("flips", "--epoch", "3")
    assert (missing.code, missing.out) == (ExitCode.NOTHING_FOUND, "")
    assert "kept are those of 2" in missing.err
    assert lossbench("flips", "--below", "1").code == ExitCode.USAGE
    late = lossbench("run", "iris-linear", "-s", "epochs=4", "-s", "keep_predictions=[5]")
    assert late.code == ExitCode.USAGE
    assert "there is no epoch 5 of 4" in late.err
