"""How commands on engines end: by a mistake, a signal, a crash; and that nothing of them is left running."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lossbench.home import Home
from tests.executors.test_contract import journalled
from tests.leftovers import left, marked

SMALL = ("sweep", "digits-cnn", "-s", "data.limit=64", "-n", "2", "--threads", "1", "--plain")


def command(home: Home, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "lossbench", *words, "--home", str(home.root)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--gpus", "7"), "there is no GPU '7' here; none is"),
        (("--engine", "ray", "--address", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        (("--engine", "ray", "--threads", "9999"), "no node has the 9999 CPUs and 0 GPUs of one cell"),
        (("--engine", "slurm"), "there is no SLURM here"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing_running(options, complaint, home):
    if "ray" in options:
        pytest.importorskip("ray")
    if "slurm" in options and shutil.which("srun"):
        pytest.skip("SLURM is there")
    environment = marked(CUDA_VISIBLE_DEVICES="", RAY_ADDRESS="")
    ran = subprocess.run(command(home, *SMALL, *options), env=environment, capture_output=True, text=True, timeout=100)
    assert (ran.returncode, ran.stdout) == (2, "")
    (told,) = ran.stderr.splitlines()
    assert complaint in told
    assert left(environment) == []
    assert journalled(home) == []


@pytest.mark.parametrize(("engine", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed_is_named_with_its_extra(engine, module, home, tmp_path):
    # What Python says of a package that is not there, where it is.
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('No module named {module}', name='{module}')")
    environment = marked(PYTHONPATH=str(tmp_path))
    ran = subprocess.run(
        command(home, *SMALL, "--engine", engine), env=environment, capture_output=True, text=True, timeout=100
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    (told,) = ran.stderr.splitlines()
    assert f"pip install 'lossbench[{engine}]'" in told
    assert left(environment) == []


def until_each_has(home: Home, process: "subprocess.Popen[str]", *, runs: int, epochs: int) -> None:
    while True:
        seen = [body["run_id"] for body in journalled(home) if body["kind"] == "epoch"]
        if len(set(seen)) == runs and min(map(seen.count, seen)) >= epochs:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.fixture
def start():
    """Start commands in process groups of their own, as a shell does; none outlives the test."""
    processes = []

    def call(home: Home, environment: dict[str, str], *options: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            command(home, *options),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield call
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def of_kind(home: Home, kind: str) -> list[dict]:
    return sorted((body for body in journalled(home) if body["kind"] == kind), key=lambda body: body["at"])


def epochs_told(home: Home) -> set[tuple[str, int]]:
    return {(body["run_id"], body["epoch"]) for body in of_kind(home, "epoch")}


@pytest.mark.slow
def test_a_sweep_on_ray_outlives_its_driver_and_ends_in_good_order_on_ctrl_c(home, start):
    pytest.importorskip("ray")
    endless = (*SMALL, "-s", "epochs=100000", "--engine", "ray")
    environment = marked()
    process = start(home, environment, *endless)
    until_each_has(home, process, runs=2, epochs=3)
    process.kill()
    process.communicate()
    # The cluster that it had started goes with it.
    assert left(environment, patience=90) == []
    known = epochs_told(home)

    process = start(home, environment, *endless)
    until_each_has(home, process, runs=2, epochs=3 + max(epoch for _, epoch in known))
    # Ctrl-C goes to the whole group, Ray's processes among them.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping after this batch" in err
    assert "Traceback" not in err
    assert [body["status"] for body in of_kind(home, "ended")] == ["interrupted", "interrupted"]
    assert left(environment) == []
    told = epochs_told(home)
    assert known <= told
    for run_id in out.split():
        assert home.checkpoint(run_id).exists()
        first, second = (body["from_epoch"] for body in of_kind(home, "started") if body["run_id"] == run_id)
        epochs = sorted(epoch for each, epoch in told if each == run_id)
        assert epochs == list(range(1, len(epochs) + 1))
        assert first == 0 < second <= len(epochs)


@pytest.mark.parametrize(
    ("numbers", "code", "reason"),
    [
        ((signal.SIGINT, signal.SIGTERM), 130, "stopped at once"),
        ((signal.SIGTERM,), 143, ""),
    ],
    ids=["twice", "terminated"],
)
def test_a_run_on_two_devices_ends_by_signals_and_takes_its_helpers_along(numbers, code, reason, home, start):
    environment = marked()
    alone = ("run", "digits-cnn", "-s", "data.limit=64", "-s", "epochs=100000", "--device", "cpu", "--devices", "2")
    process = start(home, environment, *alone)
    until_each_has(home, process, runs=1, epochs=2)
    # Held meanwhile, or it might be done with the first signal before the second comes.
    for number in (signal.SIGSTOP, *numbers, signal.SIGCONT):
        os.killpg(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert [(body["status"], body["reason"]) for body in of_kind(home, "ended")] == [("interrupted", reason)]
    assert left(environment) == []
