"""A sweep whose cells run out of something: each says so in one sentence, and the sweep goes on with the others."""

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench.home import Home
from lossbench.presets import describe
from lossbench.store import Store, queries
from tests.cli.test_resources import mounted, small_disk
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


def test_cells_without_room_for_a_journal_are_counted_and_come_later(start: Start, tmp_path: Path) -> None:
    # Few files fit, so that the journals of the last cells do not.
    with mounted(tmp_path / "small", "size=8m", "nr_inodes=14") as disk:
        home = Home(disk / "home")
        command = ("sweep", *TINY[:3], *TINY[5:], "-s", "epochs=2", "--seeds", "8", "--home", home.root)
        process = start(*command, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, "Traceback" in err) == (6, False), err
        found = ends(home)
        statuses = [status for status, _, _ in found.values()]
        assert statuses.count("done") >= 1
        assert set(statuses) <= {"done", "failed"}
        assert len(found) == len(out.split()) < 8
        assert f"note: {8 - len(found)} of 8 cells could not begin" in err
        last = err.splitlines()[-1]
        assert last == f"lossbench: cannot create a journal in {home.journals}: No space left on device"
        subprocess.run(["mount", "-o", "remount,nr_inodes=200", str(disk)], check=True)
        assert start(*command, "--retry", "failed").wait(timeout=120) == 0
        assert {status for status, _, _ in ends(home).values()} == {"done"}
        assert found.keys() < ends(home).keys()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_where_no_cell_can_be_recorded_it_is_said_once(start: Start, tmp_path: Path, jobs: str) -> None:
    with mounted(tmp_path / "small", "size=8m", "nr_inodes=5") as disk:
        home = Home(disk / "home")
        options = ("-s", "epochs=2", "--seeds", "3", "--home", home.root, "--jobs", jobs)
        process = start("sweep", *TINY[:3], *TINY[5:], *options, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (6, "")
        complaint = f"lossbench: cannot create a journal in {home.journals}: No space left on device"
        assert [line for line in err.splitlines() if not line.startswith("note: ")] == [complaint]


def files_limited(most: int) -> dict[str, Callable[[], None]]:
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))}


@pytest.mark.parametrize("command", [("ls",), ("sweep", *TINY, "--seeds", "2")], ids=["ls", "sweep"])
@pytest.mark.parametrize("most", [5, 14])
def test_a_limit_on_open_files_is_one_sentence(home: Home, start: Start, most: int, command: tuple[str, ...]) -> None:
    process = start(*command, stderr=subprocess.PIPE, **files_limited(most))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err == (
        f"lossbench: only {most} files may be open here at once, and 3 are; 12 more are needed: see `ulimit -n`\n"
    )
    assert ends(home) == {}


LEAKING = """
import os
import torch.nn.functional as F

leaked = []


def leaking(logits, target):
    leaked.append(os.open(os.devnull, os.O_RDONLY))
    return F.cross_entropy(logits, target, reduction="none")
"""


def test_a_cell_that_opens_ever_more_files_fails_with_the_reason(home: Home, start: Start, tmp_path: Path) -> None:
    (tmp_path / "leaking.py").write_text(LEAKING)
    losses = ("--loss", "ce", "--loss", f"{tmp_path}/leaking.py:leaking")
    command = ("sweep", *TINY[:3], *TINY[5:], *losses, "-s", "epochs=40", "--seeds", "1")
    process = start(*command, stderr=subprocess.PIPE, **files_limited(40))
    _, err = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in err) == (1, False), err
    found = ends(home)
    assert found.pop(("digits-cnn", "ce", 0)) == ("done", 40, "")
    ((status, epoch, reason),) = found.values()
    assert (status, 0 < epoch < 40, os.strerror(24) in reason) == ("failed", True, True)


@pytest.mark.slow
@pytest.mark.parametrize("most", range(15, 31))
def test_whatever_number_of_files_may_be_open_a_run_and_a_sweep_train(home: Home, start: Start, most: int) -> None:
    for number, command in enumerate((("run", *TINY[:3], *TINY[5:]), ("sweep", *TINY, "--seeds", "2"))):
        place = Home(home.root / str(number))
        process = start(*command, "-s", "epochs=3", "--home", place.root, stderr=subprocess.PIPE, **files_limited(most))
        _, err = process.communicate(timeout=120)
        assert (process.returncode, "Traceback" in err) == (0, False), err
        assert set(ends(place).values()) == {("done", 3, "")}
