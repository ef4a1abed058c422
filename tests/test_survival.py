"""Killed without warning, at any moment, again and again: nothing recorded is lost, and the numbers are the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HELPER = Path(__file__).with_name("kill_and_resume.py")


def survived(root: Path, kills: int, seed: int) -> int:
    """Train through at least that many kills of a network and of a cohort.

    Returns:
        Kills survived.
    """
    done = subprocess.run(
        [sys.executable, HELPER, root, str(kills), str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    survived = {}
    for each in json.loads(done.stdout):
        survived[each["name"]] = each["kills"]
        expected = {(key, epoch): numbers for key, epoch, numbers in each["expected"]}
        # An epoch that was recorded twice, because its checkpoint was not, has the same numbers both times.
        assert all(expected[key, epoch] == numbers for key, epoch, numbers in each["found"])
        assert {(key, epoch) for key, epoch, _ in each["found"]} == expected.keys()
        # That is the one under way: recorded, and killed before the next began.
        assert each["again"] <= 1
        assert each["runs"] == each["cells"]
        assert each["ended"].count("done") >= each["cells"]
        assert each["left"] == []
    return sum(survived.values())


def test_a_few_kills(tmp_path):
    assert survived(tmp_path, kills=6, seed=0) >= 12


@pytest.mark.slow
def test_a_hundred_kills(tmp_path):
    assert survived(tmp_path, kills=60, seed=1) >= 100


FULL_DISK = """
import json, sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_experiment import spec
from lossbench.events import EpochDone, RunEnded
from lossbench.experiment import execute
from lossbench.home import Home
from lossbench.journal import journals, read

home = Home(Path(sys.argv[1]) / ".lossbench")
events = list(execute([spec(epochs=200)], home, data_folder=Path("/nonexistent"), device="cpu"))
told = [body.body for path in journals(home) for body in read(path)]
print(json.dumps({
    "told": sum(isinstance(event, EpochDone) for event in events),
    "kept": [body["epoch"] for body in told if body["kind"] == "epoch"],
    "ended": [body for body in told if body["kind"] == "ended"],
    "said": [[event.status, event.reason] for event in events if isinstance(event, RunEnded)],
}))
"""


def on_a_disk_of(kibibytes: int, folder: Path) -> dict:
    """What a run of 200 epochs comes to on a real file system of that size."""
    folder.mkdir()
    mount = (
        f'mount -t tmpfs -o size={kibibytes}k tmpfs {folder} && exec {sys.executable} -c "$0" {folder} {HELPER.parent}'
    )
    trial = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, FULL_DISK], capture_output=True, text=True, check=False
    )
    if "unshare" in trial.stderr or "mount" in trial.stderr:
        pytest.skip(f"a small file system cannot be mounted here: {trial.stderr.strip()}")
    assert trial.returncode == 0, trial.stderr
    return json.loads(trial.stdout)


@pytest.mark.parametrize("kibibytes", [150, 400])
def test_a_full_disk_fails_the_run_and_keeps_every_epoch_that_was_told(tmp_path, kibibytes):
    # The smaller disk has no room for a checkpoint and its spare, the larger one fills up with the journal.
    seen = on_a_disk_of(kibibytes, tmp_path / "disk")
    ((status, reason),) = seen["said"]
    assert status == "failed"
    assert "No space left on device" in reason
    assert seen["kept"] == list(range(1, seen["told"] + 1))
    assert [body["status"] for body in seen["ended"]] == ["failed"]
