"""A sweep whose cells run out of something: each says so in one sentence, and the sweep goes on with the others."""

import os
import resource
import subprocess
from pathlib import Path

import pytest

from lossbench.home import Home
from lossbench.presets import describe
from lossbench.store import Store, queries
from tests.cli.test_resources import small_disk
from tests.cli.test_signals import Start, start

__all__ = ["small_disk", "start"]

TINY = ("digits-cnn", "-s", "data.limit=60", "--jobs", "2", "--plain", "--device", "cpu")

HUNGRY = """
import torch
import torch.nn.functional as F

batches = 0


def hungry(logits, target):
    global batches
    batches += len(target) == 30
    if batches > 6:
        torch.empty(10**15)
    return F.cross_entropy(logits, target, reduction="none")
"""


def ends(home: Home) -> dict[tuple[str, str, int], tuple[str, int, str]]:
    """Status, epochs and reason of each run, by preset, loss and seed."""
    with Store.open(home) as store:
        return {(row.preset, row.loss, row.seed): (row.status, row.epoch, row.reason) for row in queries.runs(store)}


def test_a_cell_that_finds_no_memory_fails_and_the_others_are_trained(home: Home, start: Start, tmp_path: Path) -> None:
    (tmp_path / "hungry.py").write_text(HUNGRY)
    losses = ("--loss", f"{tmp_path}/hungry.py:hungry", "--loss", "ce")
    options = ("-s", "epochs=4", "-s", "batch_size=30", "--seeds", "2")
    process = start("sweep", *TINY, *options, *losses, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    found = ends(home)
    assert {found[key] for key in found if key[1] == "ce"} == {("done", 4, "")}
    hungry = [found[key] for key in found if key[1] != "ce"]
    assert len(hungry) == 2
    for status, epoch, reason in hungry:
        assert (status, reason.partition(":")[0]) == ("failed", "out of memory at batch size 30")
        assert epoch in (0, 3)
    # Two batches an epoch: the first of them found memory for six, and its three epochs are kept.
    assert max(epoch for _, epoch, _ in hungry) == 3


def test_a_checkpoint_that_does_not_fit_fails_its_cell_alone(small_disk: Path, start: Start, tmp_path: Path) -> None:
    home = Home(small_disk / "home")
    wide = tmp_path / "wide.toml"
    wide.write_text(describe("digits-mlp").replace("hidden = [64]", "hidden = [20000]"))
    assert "20000" in wide.read_text()
    command = ("sweep", wide, *TINY, "-s", "epochs=3", "--home", home.root)
    process = start(*command, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    found = ends(home)
    assert found["digits-cnn", "ce", 0] == ("done", 3, "")
    status, epoch, reason = found["wide", "ce", 0]
    assert (status, epoch) == ("failed", 1)
    assert reason.startswith("cannot write checkpoint")
    assert reason.endswith("No space left on device")


@pytest.mark.slow
def test_data_that_is_not_there_and_a_cache_that_cannot_be_written_stop_only_their_cells(
    home: Home, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/sys/lossbench")
    process = start("sweep", "uci-iris-linear", *TINY, "-s", "epochs=2", "--seeds", "1", stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.startswith("lossbench: ")]) == 1
    assert ends(home) == {("digits-cnn", "ce", 0): ("done", 2, "")}


def test_a_limit_on_open_files_is_one_sentence(home: Home, start: Start) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))

    process = start("sweep", *TINY, "-s", "epochs=2", "--seeds", "2", stderr=subprocess.PIPE, preexec_fn=limit)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in err
    assert err == "lossbench: a worker process could not start: Too many open files\n"
    assert ends(home) == {}


@pytest.mark.slow
@pytest.mark.parametrize("most", range(6, 20))
def test_whatever_number_of_files_may_be_open_a_run_and_a_sweep_end_in_good_order(
    home: Home, start: Start, most: int
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    for number, command in enumerate((("run", *TINY[:3], *TINY[5:]), ("sweep", *TINY, "--seeds", "2"))):
        place = Home(home.root / str(number))
        options = ("-s", "epochs=3", "--home", place.root)
        process = start(*command, *options, stderr=subprocess.PIPE, preexec_fn=limit)
        _, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        for status, epoch, reason in ends(place).values():
            assert (status, epoch, reason) == ("done", 3, "") or (status == "failed" and os.strerror(24) in reason)
        if process.returncode == 0:
            assert ends(place)
