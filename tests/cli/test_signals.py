"""Signals, end to end: what reaches a real process, what becomes of its runs, and what the same command does next."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lossbench.home import Home
from lossbench.measures import SPEED
from lossbench.store import Store, queries
from tests.watching import Start, starting, told, trained, until

LONG = ("digits-mlp", "-s", "epochs=100000", "-s", "data.limit=64", "--plain")
SLOW_TO_END = ("iris-linear", "-s", "epochs=100000", "--plain")
CLOCKED = {f"train/{name}" for name in SPEED}


@pytest.fixture
def start(home: Home) -> Iterator[Start]:
    """What starts lossbench; what it says of every epoch is thrown away, for nobody would empty the pipe."""
    with starting(home) as start:
        yield partial(start, stderr=subprocess.DEVNULL)


def statuses(home: Home) -> list[str]:
    with Store.open(home) as store:
        return sorted(run.status for run in queries.runs(store))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143)], ids=lambda each: str(each)
)
def test_the_first_signal_ends_a_run_in_good_order(home: Home, start: Start, number: int, code: int) -> None:
    process = start("run", *LONG, stderr=subprocess.PIPE)
    trained(home, 3)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    (run_id,) = out.split()
    assert process.returncode == code
    assert "stopping after this batch" in err
    assert "Traceback" not in err
    assert statuses(home) == ["interrupted"]
    assert home.checkpoint(run_id).exists()
    epochs = [body["epoch"] for body in told(home, "epoch")]
    assert epochs == list(range(1, len(epochs) + 1))


def test_ctrl_c_ends_a_question_that_takes_for_ever(start: Start) -> None:
    process = start("sql", "SELECT sum(sin(i)) FROM range(1000000000000) AS numbers(i)", stderr=subprocess.PIPE)

    def processor_seconds() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # More than it takes until the question is asked.
    until(lambda: processor_seconds() > 5, process=process)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def test_the_live_screen_is_whole_after_the_first_signal_and_gone_after_the_run(home: Home, start: Start) -> None:
    controller, terminal = pty.openpty()
    process = start("run", *LONG[:-1], stderr=terminal)
    os.close(terminal)
    trained(home, 3)
    os.kill(process.pid, signal.SIGINT)
    written = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(controller, 1 << 16):
            written += chunk
    os.close(controller)
    assert process.wait(60) == 130
    assert statuses(home) == ["interrupted"]
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in written.decode().split("\n")]
    assert [line for line in lines if "interrupted" in line]
    assert not [line for line in lines if line.strip().startswith("stopping")]


def test_hanging_up_and_closed_pipes_do_no_harm_and_the_run_goes_on_by_id(home: Home, start: Start) -> None:
    read_end, write_end = os.pipe()
    process = start("run", *LONG, stdout=write_end, stderr=write_end)
    os.close(write_end)
    trained(home, 1)
    os.close(read_end)
    os.killpg(process.pid, signal.SIGHUP)
    before = len(told(home, "epoch"))
    trained(home, before + 20)
    os.kill(process.pid, signal.SIGTERM)
    process.wait(60)
    assert statuses(home) == ["interrupted"]
    assert [body["status"] for body in told(home, "ended")] == ["interrupted"]
    done = len(told(home, "epoch"))
    process = start("run", "--resume", "@last")
    trained(home, done + 1)
    assert [body["from_epoch"] for body in told(home, "started")] == [0, done]
    assert len({body["run_id"] for body in told(home, "epoch")}) == 1


def test_a_sweep_and_its_workers_stop_together_and_resume_together(home: Home, start: Start) -> None:
    command = ("sweep", *SLOW_TO_END, "--loss", "ce", "--loss", "adaptive", "--seeds", "2", "--jobs", "2")
    process = start(*command, stderr=subprocess.PIPE)
    trained(home, 2, runs=4)
    # As a terminal does it: every process of the group gets the signal.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert len(out.split()) == 4
    assert statuses(home) == ["interrupted"] * 4
    again = start(*command)
    until(lambda: len(told(home, "started")) == 8)
    again.terminate()
    assert sorted(again.communicate(timeout=60)[0].split()) == sorted(out.split())
    assert again.returncode == 143
    assert all(body["from_epoch"] > 0 for body in told(home, "started")[4:])


def test_a_killed_run_is_lost_and_the_same_command_gives_the_numbers_of_an_undisturbed_one(
    home: Home, start: Start, tmp_path: Path
) -> None:
    command = ("run", "digits-mlp", "-s", "epochs=40", "-s", "data.limit=64", "--loss", "focal:gamma=learned(2)")
    process = start(*command)
    trained(home, 5)
    process.kill()
    process.wait()
    assert statuses(home) in (["lost"], ["done"])
    assert start(*command).wait(60) == 0
    assert statuses(home) == ["done"]
    assert len({body["run_id"] for body in told(home, "started")}) == 1
    calm = Home(tmp_path / "calm")
    assert start(*command, "--home", calm.root).wait(60) == 0
    assert numbers(home) == numbers(calm)


def numbers(home: Home) -> dict[int, str]:
    """The exact values of each epoch, the last record of it counting."""
    return {
        body["epoch"]: json.dumps({name: value for name, value in body["metrics"].items() if name not in CLOCKED})
        for body in told(home, "epoch")
    }


STUCK = """
import time
from pathlib import Path

import torch.nn.functional as F


def stuck(logits, target):
    while Path(__file__).with_name("flag").exists():
        time.sleep(1)
    return F.cross_entropy(logits, target, reduction="none")
"""


def test_the_second_signal_does_not_wait_for_the_batch(home: Home, start: Start, tmp_path: Path) -> None:
    loss, flag = tmp_path / "loss.py", tmp_path / "flag"
    loss.write_text(STUCK.replace('Path(__file__).with_name("flag")', f"Path({str(flag)!r})"))
    process = start("run", *LONG, "--loss", f"{loss}:stuck")
    trained(home, 2)
    flag.touch()
    count = -1
    while count != (count := len(told(home, "epoch"))):
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (130, 143)
    assert statuses(home) == ["interrupted"]
    assert len(told(home, "epoch")) == count


@pytest.mark.slow
def test_a_killed_sweep_takes_its_workers_along_and_is_taken_up_again(home: Home, start: Start) -> None:
    command = ("sweep", *SLOW_TO_END, "--seeds", "4", "--jobs", "2")
    process = start(*command)
    trained(home, 2, runs=4)
    process.kill()
    process.wait()
    until(lambda: "running" not in statuses(home))
    assert statuses(home) == ["interrupted"] * 4
    start(*command)
    until(lambda: len(told(home, "started")) == 8)
    assert len({body["run_id"] for body in told(home, "started")}) == 4


@pytest.mark.slow
def test_a_killed_worker_fails_its_runs_alone_and_they_can_be_retried(home: Home, start: Start) -> None:
    command = ("sweep", "iris-linear", "wine-linear", "-s", "epochs=3000", "--seeds", "1", "--jobs", "2", "--plain")
    process = start(*command)
    trained(home, 2, runs=2)
    started = {body["spec"]["preset"]["name"]: body for body in told(home, "started")}
    os.kill(started["iris-linear"]["provenance"]["pid"], signal.SIGKILL)
    assert process.wait(120) == 1
    with Store.open(home) as store:
        ended = {run.preset: run.status for run in queries.runs(store)}
    assert ended["wine-linear"] == "done"
    assert ended["iris-linear"] == "failed"
    (obituary,) = (body for body in told(home, "ended") if body["run_id"] == started["iris-linear"]["run_id"])
    assert (obituary["status"], "SIGKILL" in obituary["reason"]) == ("failed", True)
    assert start(*command, "--retry", "failed").wait(120) == 0
    assert statuses(home) == ["done", "done"]
    assert len({body["run_id"] for body in told(home, "started")}) == 2


@pytest.mark.slow
def test_stop_reaches_the_run_of_another_process(home: Home, start: Start) -> None:
    process = start("run", *LONG)
    trained(home, 2)
    assert start("stop", "@last").wait(60) == 0
    assert process.wait(60) == 143
    assert statuses(home) == ["interrupted"]
    assert start("stop", "@last").wait(60) == 1
