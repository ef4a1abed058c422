"""`lossbench tune`: equal budgets, choices by validation rows, fresh seeds, and a comparison of those alone."""

import json

import pytest

from lossbench.errors import ExitCode

SEARCH = ("tune", "iris-linear", "-l", "ce", "-l", "focal", "-s", "epochs=2", "--space", "optimizer.lr=log:0.001..0.3")


def test_choices_are_confirmed_on_fresh_seeds_and_compared_alone(lossbench):
    arguments = (*SEARCH, "--space", "loss.gamma=0.5..5", "--trials", "3", "--seeds", "2", "--confirm-seeds", "3")
    ended = lossbench(*arguments, "--format", "json")
    assert ended.code == 0
    assert "ce has no loss.gamma: its 3 trials search optimizer.lr" in ended.err
    (row,) = json.loads(ended.out)["rows"]
    assert (row["loss"], row["n"], row["tried"]) == ("focal", 3, 3)
    assert "loss.gamma=" in row["setting"]
    runs = json.loads(lossbench("ls", "--format", "json").out)["rows"]
    assert len(runs) == 2 * (3 * 2 + 3)
    shown = lossbench("compare")
    assert shown.code == 0
    assert "found by 3 trials by random over optimizer.lr=log:0.001..0.3; loss.gamma=0.5..5, seeds 0-1" in shown.out
    assert "12 runs that do not confirm that search are left out" in shown.out
    assert "hand-picked" not in shown.out
    again = lossbench(*arguments, "--format", "json")
    assert "epoch" not in again.err
    assert json.loads(again.out)["rows"] == json.loads(ended.out)["rows"]


@pytest.mark.parametrize("method", ["grid", "tpe"])
def test_every_loss_gets_as_many_trials(lossbench, method):
    space = ("--space", "loss.gamma=0.5..5", "--search", method, "--trials", "5")
    rows = json.loads(lossbench(*SEARCH, *space, "--format", "json").out)["rows"]
    trials = 4 if method == "grid" else 5
    assert [(row["loss"], row["tried"]) for row in rows] == [("ce", trials), ("focal", trials)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--space", "loss.gama=1..2"), "none of the losses has the knob 'gama'"),
        (("--space", "optimizer.lr=0.1,0.2"), "--space names optimizer.lr twice"),
        (("--space", "optimizer.lrr=1..2", "--trials", "2"), "optimizer.lrr"),
        (("-s", "data.validation=0"), "no validation rows to choose by"),
        (("--dry-run",), "leave out --resume and --dry-run"),
        (("--space", "epochs=1,2,3", "--search", "grid", "--trials", "2"), "more than --trials 2"),
    ],
)
def test_bad_input(lossbench, arguments, message):
    ended = lossbench(*SEARCH, *arguments)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert message in ended.err
    assert ended.err.count("\n") <= 2


def test_without_a_space_there_is_nothing_to_search(lossbench):
    ended = lossbench("tune", "iris-linear", "-l", "ce")
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
