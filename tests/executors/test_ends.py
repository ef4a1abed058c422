"""How commands on engines end: by a mistake, a signal, a crash; and that nothing of them is left running."""

import os
import shutil
import signal

import pytest

from lossbench import checkpoint
from lossbench.events import now
from lossbench.executors.nodes import folder_for, name_of
from lossbench.home import Home
from tests.executors.test_contract import journalled
from tests.leftovers import left
from tests.watching import starting, told, trained

SMALL = ("sweep", "digits-cnn", "-s", "data.limit=64", "-n", "2", "--threads", "1", "--plain")
PATIENCE_SECONDS = 200.0
"""How long a cluster on a busy machine may take to come up and train a few epochs."""
ENDLESS_ON_RAY = (*SMALL, "-s", "epochs=100000", "--engine", "ray")


@pytest.fixture
def start(home):
    with starting(home) as start:
        yield start


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--gpus", "7"), "there is no GPU '7' here; none is"),
        (("--engine", "ray", "--address", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        (("--engine", "ray", "--threads", "999"), "no node has the 999 CPUs and 0 GPUs of one cell"),
        (("--engine", "slurm"), "there is no SLURM here"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing_running(options, complaint, home, start):
    if "ray" in options:
        pytest.importorskip("ray")
    if "slurm" in options and shutil.which("srun"):
        pytest.skip("SLURM is there")
    process = start(*SMALL, *options, environment={"CUDA_VISIBLE_DEVICES": "", "RAY_ADDRESS": ""})
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (2, "")
    (line,) = err.splitlines()
    assert complaint in line
    assert left(process.pid) == []
    assert journalled(home) == []


@pytest.mark.parametrize(("engine", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed_is_named_with_its_extra(engine, module, home, tmp_path, start):
    # What Python says of a package that is not there, where it is.
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('No module named {module}', name='{module}')")
    process = start(*SMALL, "--engine", engine, environment={"PYTHONPATH": str(tmp_path)})
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (2, "")
    (line,) = err.splitlines()
    assert f"pip install 'lossbench[{engine}]'" in line
    assert left(process.pid) == []


def epochs_told(home: Home) -> set[tuple[str, int]]:
    return {(body["run_id"], body["epoch"]) for body in told(home, "epoch")}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_sweep_on_ray_ends_in_good_order_by_a_signal(number, code, home, start):
    pytest.importorskip("ray")
    process = start(*ENDLESS_ON_RAY)
    trained(home, 3, runs=2, seconds=PATIENCE_SECONDS, process=process)
    # Ctrl-C goes to the whole group, Ray's processes among them.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "stopping after this batch" in err
    assert "Traceback" not in err
    assert left(process.pid) == []
    assert [body["status"] for body in told(home, "ended")] == ["interrupted", "interrupted"]
    assert len(out.split()) == 2
    for run_id in out.split():
        epochs = [epoch for each, epoch in epochs_told(home) if each == run_id]
        assert sorted(epochs) == list(range(1, len(epochs) + 1))
        assert checkpoint.packed(home, run_id)[2] == len(epochs)
    assert not folder_for(name_of(home)).exists()


@pytest.mark.slow
def test_a_sweep_on_ray_outlives_its_driver(home, start):
    pytest.importorskip("ray")
    process = start(*ENDLESS_ON_RAY)
    trained(home, 3, runs=2, seconds=PATIENCE_SECONDS, process=process)
    process.kill()
    process.communicate()
    # The cluster goes with it; Ray's agents try for a minute to tell its head, which is gone as well.
    assert left(process.pid, patience=90) == []
    known = epochs_told(home)

    since = now()
    process = start(*ENDLESS_ON_RAY)
    trained(home, 3, runs=2, since=since, seconds=PATIENCE_SECONDS, process=process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    seen = epochs_told(home)
    assert known <= seen
    for run_id in out.split():
        first, second = (body["from_epoch"] for body in told(home, "started") if body["run_id"] == run_id)
        epochs = sorted(epoch for each, epoch in seen if each == run_id)
        assert epochs == list(range(1, len(epochs) + 1))
        assert first == 0
        # What this driver did not hear of, the next one has fetched.
        before = [body for body in told(home, "epoch") if body["run_id"] == run_id and body["at"] < since]
        assert len(before) - 1 <= second <= len(before)
    assert not folder_for(name_of(home)).exists()


@pytest.mark.parametrize(
    ("numbers", "code", "reason"),
    [
        ((signal.SIGINT, signal.SIGTERM), 130, "stopped at once"),
        ((signal.SIGTERM,), 143, ""),
    ],
    ids=["twice", "terminated"],
)
def test_a_run_on_two_devices_ends_by_signals_and_takes_its_helpers_along(numbers, code, reason, home, start):
    alone = ("run", "digits-cnn", "-s", "data.limit=64", "-s", "epochs=100000", "--device", "cpu", "--devices", "2")
    process = start(*alone)
    trained(home, 2, runs=1, seconds=PATIENCE_SECONDS, process=process)
    # Held meanwhile, or it might be done with the first signal before the second comes.
    for number in (signal.SIGSTOP, *numbers, signal.SIGCONT):
        os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert [(body["status"], body["reason"]) for body in told(home, "ended")] == [("interrupted", reason)]
    assert left(process.pid) == []
