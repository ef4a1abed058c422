"""`--precision`, `--compile`, `--profile` and `--jobs`: what they change, what is recorded, what is refused."""

import json
import os
import re

import pytest

from lossbench.executors import choosing
from tests.cli.conftest import Lossbench

several = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")

SHORT = ("digits-cnn", "-s", "epochs=1", "-s", "data.limit=64")


def cell(lossbench: Lossbench, *arguments: str) -> str:
    (row,) = json.loads(lossbench("sweep", *SHORT, *arguments, "-n", "0,", "--dry-run", "--format", "json").out)["rows"]
    return row["key"]


def test_precision_and_compilation_are_part_of_what_is_asked(lossbench: Lossbench) -> None:
    plain = cell(lossbench)
    assert cell(lossbench, "--precision", "fp32", "--compile", "off") == plain
    keys = {plain, cell(lossbench, "--precision", "bf16"), cell(lossbench, "--compile", "auto")}
    assert len(keys) == 3
    assert cell(lossbench, "--precision", "bf16") == cell(lossbench, "-s", "precision=bf16")


def test_whether_a_run_was_compiled_is_recorded_and_a_short_one_is_not_by_auto(lossbench: Lossbench) -> None:
    assert lossbench("run", *SHORT, "--compile", "auto").code == 0
    (row,) = json.loads(lossbench("sql", "select provenance->>'$.compiled' as compiled from run", "-f", "json").out)[
        "rows"
    ]
    assert row == {"compiled": "false"}


def test_a_run_that_goes_on_keeps_its_arithmetic(lossbench: Lossbench) -> None:
    for option in (("--precision", "bf16"), ("--compile", "on"), ("--profile",)):
        ended = lossbench("run", "--resume", "@last", *option)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert option[0] in ended.err


def test_a_profile_names_every_phase_and_the_rate_that_was_reached(lossbench: Lossbench) -> None:
    ended = lossbench("run", *SHORT, "--profile")
    assert ended.code == 0
    phases = {line.split()[0]: line for line in ended.err.splitlines() if " s " in line and line.endswith(" %")}
    assert phases.keys() == {"data", "forward", "loss", "backward", "optimiser", "evaluation", "store", "elsewhere"}
    assert 99 < sum(float(line.split()[-2]) for line in phases.values()) < 101
    assert "% of the" in ended.err.splitlines()[-1]


def test_a_profile_of_a_network_that_trains_in_cohorts_tells_training_from_evaluation(lossbench: Lossbench) -> None:
    ended = lossbench("run", "iris-linear", "-s", "epochs=1", "--profile")
    phases = {line.split()[0] for line in ended.err.splitlines() if " s " in line and line.endswith(" %")}
    assert phases == {"training", "evaluation", "store", "elsewhere"}


def test_more_jobs_than_memory_allows_are_one_sentence(lossbench: Lossbench) -> None:
    ended = lossbench("sweep", *SHORT, "--jobs", 1_000_000)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "1000000 jobs need" in ended.err
    assert "at most" in ended.err


def test_a_number_of_jobs_that_is_none_is_refused(lossbench: Lossbench) -> None:
    for jobs in ("0", "-1", "many", "1.5"):
        ended = lossbench("sweep", *SHORT, f"--jobs={jobs}")
        assert (ended.code, ended.err) == (2, f"lossbench: --jobs {jobs}: write a number from 1 on, or auto\n")


AUTO = ("sweep", "digits-cnn", "-s", "data.limit=300", "-s", "epochs=1", "--seeds", 2, "--jobs", "auto")


@several
def test_jobs_by_measurement_train_everything_and_say_what_was_chosen(
    lossbench: Lossbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "WORTH_TRYING_SECONDS", 0)
    ended = lossbench(*AUTO)
    assert ended.code == 0
    assert len(ended.out.split()) == 2
    assert re.search(
        r"process(es)? with \d+ threads?.*, from the first cells: against 1 process with.*reach \d", ended.err
    )


@several
def test_a_plan_that_is_soon_done_begins_at_once(lossbench: Lossbench) -> None:
    ended = lossbench(*AUTO)
    assert ended.code == 0
    assert "by the pace of the first cells, all are done in about" in ended.err


@several
def test_cells_too_large_for_the_memory_that_is_free_are_not_tried_side_by_side(
    lossbench: Lossbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "WORTH_TRYING_SECONDS", 0)
    monkeypatch.setattr(choosing, "available_mib", lambda: 1000.0)
    ended = lossbench(*AUTO)
    assert ended.code == 0
    assert "no more fit into memory" in ended.err
