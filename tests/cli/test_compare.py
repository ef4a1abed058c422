"""The command as people and scripts call it: what it prints and how it ends."""

import dataclasses
import json

import pytest

from lossbench.errors import ExitCode
from tests.compare.conftest import PRESET, bench

__all__ = ["bench"]

BASE = (0.7731, 0.7702, 0.7758, 0.7711, 0.7744)


def shifted(by, wiggle=0.0002):
    return [value + by + wiggle * (seed - 2) for seed, value in enumerate(BASE)]


@pytest.mark.parametrize(
    ("shift", "wiggle", "claim", "code"),
    [
        (0.01, 0.0002, "better", ExitCode.DONE),
        (-0.01, 0.0002, "better", ExitCode.REFUTED),
        (0.001, 0.0040, "better", ExitCode.UNDECIDED),
        (0.01, 0.0002, "not-worse", ExitCode.DONE),
        (-0.01, 0.0002, "not-worse", ExitCode.REFUTED),
        (0.0, 0.0040, "not-worse", ExitCode.UNDECIDED),
        (0.0, 0.0001, "equivalent", ExitCode.DONE),
        (0.01, 0.0002, "equivalent", ExitCode.REFUTED),
        (0.001, 0.0040, "equivalent", ExitCode.UNDECIDED),
    ],
)
def test_a_claim_ends_in_its_exit_code(bench, lossbench, shift, wiggle, claim, code):
    bench.arm("ce", BASE)
    bench.arm("adaptive", shifted(shift, wiggle))
    assert lossbench("compare", "--check", claim).code == code
    assert lossbench("compare").code == 0


def test_one_refuted_loss_refutes_the_claim(bench, lossbench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", shifted(0.01))
    bench.arm("focal", shifted(-0.01))
    assert lossbench("compare", "--check", "better").code == ExitCode.REFUTED
    assert lossbench("compare", "--check", "better", "-l", "adaptive").code == ExitCode.DONE


def test_json_holds_stored_units(bench, lossbench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", shifted(0.01))
    found = json.loads(lossbench("compare", "toy", "--min-effect", "0.5", "--format", "json").out)
    (row,) = found["rows"]
    assert (row["gain"], row["min_effect"], row["verdict"]) == (pytest.approx(0.01), 0.005, "better")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("compare", "nowhere"), ExitCode.NOTHING_FOUND, "no runs: unknown preset 'nowhere'"),
        (("compare", "--metric", "top1"), ExitCode.USAGE, "did you mean 'top1_acc'"),
        (("compare", "--metric", "top5_err"), ExitCode.USAGE, "metric top5_err needs at least 6 classes"),
        (("compare", "--baseline", "c"), ExitCode.NOTHING_FOUND, "the baseline has no runs: unknown loss 'c'"),
        (("compare", "--where", "nothing = 1"), ExitCode.USAGE, "--where"),
        (("compare", "--new-test-set"), ExitCode.NOTHING_FOUND, "kept its predictions"),
        (("power", "--delta", "0"), ExitCode.USAGE, "above 0"),
        (("power", "--delta", "0.3", "--sd", "inf"), ExitCode.USAGE, "finite"),
        (("compare", "--min-effect", "0"), ExitCode.USAGE, "must be above 0"),
        (("power", "--delta", "1", "--preset", "tox"), ExitCode.NOTHING_FOUND, "did you mean 'toy'"),
        (("aa", "toy"), ExitCode.NOTHING_FOUND, "10 finished runs of ce are needed"),
        (("claims", "show", "1234.56789"), ExitCode.USAGE, "unknown paper"),
    ],
)
def test_bad_input(bench, lossbench, arguments, code, message):
    bench.arm("ce", BASE)
    bench.arm("adaptive", shifted(0.01))
    ended = lossbench(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_explain_and_new_commands_print(bench, lossbench):
    bench.arm("ce", [*BASE, *shifted(0.001)])
    bench.arm("adaptive", shifted(0.01))
    for arguments, expected in (
        (("compare", "--explain"), "g_z: J gain / s_d"),
        (("power", "--delta", "0.3", "--sd", "0.3"), "10 seeds per loss"),
        (("power", "--delta", "0.3", "--preset", "toy"), "differences of 1 losses"),
        (("aa", "toy", "--seeds", "5"), "Chance alone makes differences"),
    ):
        assert expected in lossbench(*arguments).out


@pytest.mark.parametrize(
    ("arguments", "losses"),
    [
        (("-l", "linearly-adaptive"), ["adaptive"]),
        (("-l", "adaptive", "-l", "focal:gamma=3.0"), ["adaptive", "focal:gamma=3"]),
        (("-l", "focal:gamma=3", "-b", "cross-entropy"), ["focal:gamma=3"]),
        (("-l", "focal*"), ["focal:gamma=3"]),
    ],
)
def test_another_spelling_of_a_loss_finds_its_runs(bench, lossbench, arguments, losses):
    for loss, shift in (("ce", 0.0), ("adaptive", 0.01), ("focal:gamma=3", 0.01)):
        bench.arm(loss, shifted(shift))
    ended = lossbench("compare", *arguments, "--format", "json")
    assert [row["loss"] for row in json.loads(ended.out)["rows"]] == losses


def test_a_report_is_a_look_too(bench, lossbench, tmp_path):
    columns = {"ce": BASE, "adaptive": shifted(0.01)}
    for loss, values in columns.items():
        bench.arm(loss, values[:3])
    page = tmp_path / "page.html"
    assert lossbench("report", "toy", "--out", page).code == 0
    assert "adaptive: better" in page.read_text()
    for loss, values in columns.items():
        bench.run(loss, 3, values[3])
    assert "looked at 2 times, at 3, 4 pairs" in lossbench("compare", "toy").out


def test_a_report_takes_each_loss_at_its_own_setting(bench, lossbench, tmp_path):
    for lr, val in ((0.01, 0.8), (0.005, 0.9)):
        for loss in ("ce", "focal"):
            for seed, value in enumerate(BASE):
                epochs = [{"val/top1_acc": val, "test/top1_acc": value}] * 3
                bench.run(loss, seed, 0, epochs=epochs, optimizer=dataclasses.replace(PRESET.optimizer, lr=lr))
    page = tmp_path / "page.html"
    assert lossbench("report", "--out", page).code == 0
    assert "No verdict: toy: the runs differ in more than loss and seed" in page.read_text()
    assert lossbench("report", "--tuned", "optimizer.lr", "--out", page).code == 0
    assert "budget: 2 settings and 10 runs for every loss" in page.read_text()


@pytest.mark.parametrize("paper", ["2501.13709", "2507.10574"])
def test_the_plan_that_tests_a_paper_is_one_table(lossbench, paper):
    ended = lossbench("claims", "run", paper, "--format", "json")
    planned = json.loads(ended.out)["rows"]
    assert ended.code == 0
    assert {each["action"] for each in planned} == {"start"}
    assert len({each["key"] for each in planned}) == len(planned) > 0
    assert "`lossbench sweep suite:" in ended.err


def test_a_grid_is_compared_at_each_loss_own_best_and_beside_the_published_figures(bench, lossbench):
    for preset in ("uci-iris-linear", "uci-wine-linear"):
        for loss, shift in (("ce", 0.0), ("focal", 0.01)):
            for lr, val in ((0.01, 0.8), (0.005, 0.9)):
                for seed, value in enumerate(BASE):
                    epochs = [{"val/top1_acc": val, "test/top1_acc": value + shift * (1 + 0.1 * seed)}] * 3
                    optimizer = dataclasses.replace(PRESET.optimizer, lr=lr)
                    bench.run(loss, seed, 0, epochs=epochs, preset=preset, optimizer=optimizer)
    shown = lossbench("compare", "suite:uci", "uci-*-linear", "--since", "1h")
    assert shown.code == 0
    assert "budget: 2 settings and 10 runs for every loss of every preset" in shown.out
    assert "as published (arXiv 2109.05635, table 4), and here" in shown.out
    rows = json.loads(lossbench("compare", "suite:uci", "--format", "json").out)["rows"]
    assert [(row["preset"], row["setting"], row["tried"]) for row in rows] == [
        ("uci-iris-linear", "optimizer.lr=0.005", 2),
        ("uci-wine-linear", "optimizer.lr=0.005", 2),
    ]
    assert lossbench("compare", "suite:uci", "--since", "yesterday").code == ExitCode.USAGE
