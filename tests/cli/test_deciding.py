"""`sweep --until decided`: blocks of seeds, a look after each, an end in sight."""

import json

import pytest

from lossbench.errors import ExitCode

SWEEP = ("sweep", "iris-linear", "-l", "ce", "-l", "adaptive", "-l", "mae", "-s", "epochs=3", "-s", "optimizer.lr=0.02")


def test_seeds_are_added_until_all_is_decided_or_none_are_left(lossbench):
    ended = lossbench(*SWEEP, "--until", "decided", "--max-seeds", "6", "--format", "json")
    assert ended.code == 0
    rows = {row["loss"]: row for row in json.loads(ended.out)["rows"]}
    decided = all(row["verdict"] in ("better", "worse", "equivalent") for row in rows.values())
    assert {row["n"] for row in rows.values()} == {5 if decided else 6}
    assert {row["alpha"] for row in rows.values()} != {0.05}
    again = lossbench(*SWEEP, "--until", "decided", "--max-seeds", "6", "--format", "json")
    assert json.loads(again.out)["rows"] == json.loads(ended.out)["rows"]
    assert "epoch" not in again.err
    later = lossbench("compare")
    assert "looks at 5, 6, each held to 0.0" in later.out
    assert "(Pocock): the chance that any look says better or worse" in later.out
    lossbench("sweep", "iris-linear", "-l", "ce", "-l", "mae", "-s", "epochs=3", "-s", "optimizer.lr=0.02", "-n", "7,8")
    assert "were not in that plan" in lossbench("compare", "-l", "mae").out


def test_a_plan_is_shown_without_training(lossbench):
    ended = lossbench(*SWEEP, "--until", "decided", "--max-seeds", "8", "--dry-run")
    assert ended.out.count("start") == 24
    assert "looks at 5, 8 seeds" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--until", "decided", "--seeds", "3"), "leave out --seeds"),
        (("--until", "decided", "-g", "batch_size=8,16"), "leave out --grid"),
        (("--until", "decided", "--baseline", "focal"), "needs the baseline focal"),
        (("--max-seeds", "10"), "--max-seeds is for `--until decided`"),
        (("--min-effect", "1"), "--min-effect is for `--until decided`"),
    ],
)
def test_bad_input(lossbench, arguments, message):
    ended = lossbench(*SWEEP, *arguments)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert message in ended.err
