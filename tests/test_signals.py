"""The command line as a process that is sent signals: it stops in good order, says so by its exit code, and resumes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HELPER = Path(__file__).with_name("signal_and_resume.py")


def played(folder: Path, *scenarios: str) -> dict[str, dict]:
    done = subprocess.run(
        [sys.executable, HELPER, folder, *scenarios], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_signals_to_a_run(tmp_path):
    seen = played(tmp_path, "int", "term", "usr1", "hup, closed pipes, int")
    assert {name: each["exit"] for name, each in seen.items()} == {
        "int": 130,
        "term": 143,
        "usr1": 143,
        "hup, closed pipes, int": 130,
    }
    for each in seen.values():
        assert each["ended"] == ["interrupted"]
        assert each["checkpoints"] == 1
    assert "stopping after this batch" in seen["int"]["said"]


@pytest.mark.slow
def test_signals_to_a_sweep_and_its_workers(tmp_path):
    seen = played(tmp_path, "sweep int", "sweep term", "sweep int twice")
    for name, code in {"sweep int": 130, "sweep term": 143}.items():
        assert seen[name]["exit"] == code
        assert seen[name]["ended"] == ["interrupted"] * seen[name]["started"]
        assert seen[name]["checkpoints"] >= 1
    # The second Ctrl-C waits for nobody: what the workers had recorded is there, and they are found lost.
    assert seen["sweep int twice"]["exit"] == 130
    assert len(seen["sweep int twice"]["ended"]) <= seen["sweep int twice"]["started"]
