"""Arrays of SLURM jobs: run by the executor that submitit has for one machine, and as the batch script they become."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.executors.test_contract import journalled

submitit = pytest.importorskip("submitit")


def of_kind(home, kind: str) -> list[dict]:
    return sorted((body for body in journalled(home) if body["kind"] == kind), key=lambda body: body["at"])


def test_an_element_that_is_preempted_goes_on_where_it_stopped(home, tmp_path):
    from lossbench.executors.slurm import Element

    here = submitit.LocalExecutor(tmp_path / "logs")
    here.update_parameters(timeout_min=5)
    small = ["digits-cnn", "-s", "data.limit=64", "-s", "epochs=100", "--threads", "1"]
    words = [sys.executable, "-m", "lossbench", "run", *small, "--home", str(home.root)]
    job = here.submit(Element(words, tmp_path))
    deadline = time.monotonic() + 60
    while len(of_kind(home, "epoch")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    # SLURM tells every process of a job, the command as well as its parent.
    pid = of_kind(home, "started")[0]["provenance"]["pid"]
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGTERM)
    os.kill(parent, signal.SIGUSR2)
    assert job.result() == 0
    first, second = of_kind(home, "started")
    assert [body["status"] for body in of_kind(home, "ended")] == ["interrupted", "done"]
    assert first["run_id"] == second["run_id"]
    assert second["from_epoch"] > 0


def sweep_where_sbatch_does(line: str, home, tmp_path) -> "subprocess.CompletedProcess[str]":
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, each in (("srun", "exit 1"), ("sbatch", line)):
        (programs / name).write_text(f"#!/bin/sh\n{each}\n")
        (programs / name).chmod(0o755)
    sweep = [sys.executable, "-m", "lossbench", "sweep", "digits-mlp", "-l", "ce", "-l", "el", "-n", "2"]
    options = ["--engine", "slurm", "--slurm", "partition=gpu", "--slurm", "gpus_per_node=1", "--max-time", "90m"]
    there = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "LOSSBENCH_HOME": str(home.root)}
    return subprocess.run([*sweep, *options, "--jobs", "3"], env=there, capture_output=True, text=True, cwd=tmp_path)


def test_the_batch_script_asks_for_what_was_said_and_is_told_in_time(home, tmp_path):
    ran = sweep_where_sbatch_does(f"cp $1 {tmp_path}/script; echo Submitted batch job 42", home, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["42_0", "42_1", "42_2", "42_3"]
    script = (tmp_path / "script").read_text().splitlines()
    asked = [
        "array=0-3%3",
        "requeue",
        "gpus-per-node=1",
        "partition=gpu",
        "signal=USR2@120",
        "time=90",
        "open-mode=append",
    ]
    assert [f"#SBATCH --{each}" for each in asked if f"#SBATCH --{each}" not in script] == []


def test_an_array_that_is_refused_is_one_sentence(home, tmp_path):
    ran = sweep_where_sbatch_does("echo 'sbatch: error: invalid partition' >&2; exit 1", home, tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "lossbench: SLURM refuses the array: sbatch: error: invalid partition\n"


def test_where_slurm_is_not_there_it_is_said(tmp_path):
    from lossbench.errors import UsageError
    from lossbench.executors.slurm import executor

    if shutil.which("srun"):
        pytest.skip("SLURM is there")
    with pytest.raises(UsageError, match="no SLURM here"):
        executor(tmp_path, [])
    with pytest.raises(UsageError, match="NAME=VALUE"):
        executor(tmp_path, ["partition"])
