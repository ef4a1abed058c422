"""`lossbench losses`: the list, the explanation and the check."""

import csv
import io
import json

import pytest

from lossbench import losses

OWN = """
import torch


def naive(logits, target):
    return -logits.softmax(-1).gather(-1, target[:, None]).squeeze(-1).log()


def sound(logits, target):
    return torch.nn.functional.cross_entropy(logits, target, reduction="none")


def scalar(logits, target):
    return torch.nn.functional.cross_entropy(logits, target)
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return path


def test_the_list_names_every_loss_with_its_defaults(lossbench):
    ended = lossbench("losses", "--format", "csv")
    rows = {row["loss"]: row for row in csv.DictReader(io.StringIO(ended.out))}
    assert ended.code == 0
    assert list(rows) == [entry.name for entry in losses.catalogue()]
    assert rows["focal"]["knobs"] == "gamma=2, alpha=1, detach=false"
    assert rows["adaptive"]["aliases"] == "lace, linearly-adaptive"
    assert rows["expectation"]["source"] == "arXiv 2109.05635"
    assert "left out: adafocal, " in ended.err
    assert "left out: gjs, " in ended.err


def test_show_explains_and_draws_several_losses(lossbench):
    ended = lossbench("losses", "show", "ce", "adaptive", "ce-el:focus=0.3", "focal")
    assert ended.code == 0
    for part in (
        "L = -(1 - p_y) log p_y",
        "focal at gamma 1, exactly",
        "largest 1.14 at 0.135",
        "focus=0.3",
        "arXiv 1708.02002",
        "|dL/dq_y|",
    ):
        assert part in ended.out


def test_show_explains_what_it_cannot_draw(lossbench):
    ended = lossbench("losses", "show", "cot", "--no-draw")
    assert ended.code == 0
    assert "step 2" in ended.out
    assert "|dL/dq_y|" not in ended.out


@pytest.mark.parametrize(
    ("function", "code", "passed"), [("sound", 0, True), ("naive", 1, False), ("scalar", 1, False)]
)
def test_check_reports_and_decides(lossbench, own, function, code, passed):
    ended = lossbench("losses", "check", f"{own}:{function}", "--format", "json")
    report = json.loads(ended.out)
    assert (ended.code, report["passed"]) == (code, passed)
    assert all({"name", "passed", "text"} == set(each) for each in report["findings"])


def test_check_prints_a_table(lossbench):
    ended = lossbench("losses", "check", "adaptive")
    assert ended.code == 0
    assert "focal:gamma=1" in ended.out
    assert "under-confident" in ended.out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("show", "adaptiv"), "unknown loss 'adaptiv'; did you mean 'adaptive'?"),
        (("check", "focal:gamma=-1"), "gamma must be at least 0"),
        (("check", "./nowhere.py:f"), "cannot read nowhere.py"),
        (("check", "cot"), "several steps"),
        (("show", "adafocal"), "follows the calibration of a validation split"),
        (("show", "gjs"), "needs augmented views"),
        (("show", "ce-el:focus=0.6"), "focus must be at least 0 and at most 0.5"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(lossbench, arguments, part):
    ended = lossbench("losses", *arguments)
    assert ended.code == 2
    assert part in ended.err
    assert ended.err.count("\n") == 1
