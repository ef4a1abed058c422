"""Cells as the elements of a SLURM array, each a `lossbench run` that may be stopped and asked for again."""

import io
import math
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import submitit
from submitit.helpers import DelayedSubmission

from lossbench.errors import ExitCode, LossbenchError, UsageError

__all__ = ["Element", "executor", "submit"]

WARNING_SECONDS = 120
"""How long before the end of its time an element is told of it."""

STOPPING_SECONDS = 20
"""How long an element that SLURM has told to stop may take before it is told once more."""

POLL_SECONDS = 0.2

REQUEUES = 1000
"""How often an element may run out of time: as often as it takes, for each time it goes on where it stopped."""


class Element:
    """One command. When its time is over or it is pre-empted it stops in good order and is queued again as it is."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self._words = list(words)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """The exit code of the command.

        Raises:
            LossbenchError: that is one of a failure.
        """
        # SLURM sends its warning to every process; only the parent knows what to make of it.
        quiet = ["sh", "-c", "trap '' USR2; exec \"$@\"", "sh", *self._words]
        self._process = subprocess.Popen(quiet, cwd=self._folder)
        _await(self._process.pid, None)
        code = self._process.wait()
        if code == ExitCode.TERMINATED:
            # It was told before its parent, whose word is about to come.
            time.sleep(WARNING_SECONDS)
        if code not in (ExitCode.DONE, ExitCode.DIVERGED):
            raise LossbenchError(f"exit status {code} of {' '.join(self._words)}")
        return code

    def checkpoint(self) -> Any:
        """Stop, and be queued again with the same words: asking again is resuming."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None and not _await(process.pid, STOPPING_SECONDS):
            os.kill(process.pid, signal.SIGTERM)
            _await(process.pid, None)
        return DelayedSubmission(self)


def _await(pid: int, seconds: float | None) -> bool:
    """Whether a child has ended, or does within some time."""
    # Popen.wait holds a lock, and `checkpoint` runs in a signal handler while `__call__` waits.
    until = math.inf if seconds is None else time.monotonic() + seconds
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def executor(logs: Path, settings: Sequence[str]) -> Any:
    """The SLURM of this machine with `name=value` settings such as `partition=gpu` or `timeout_min=600`.

    Raises:
        UsageError: there is no SLURM here, or no such setting.
    """
    chosen: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--slurm {setting!r}: write NAME=VALUE, such as partition=gpu")
        chosen[name] = int(value) if value.isdecimal() else value
    try:
        made = submitit.SlurmExecutor(logs, max_num_timeout=REQUEUES)
    except RuntimeError:
        raise UsageError("there is no SLURM here (no srun in PATH); --emit-commands prints the commands") from None
    given: dict[str, Any] = {"job_name": "lossbench", "signal_delay_s": WARNING_SECONDS, "time": 60}
    # Some clusters refuse to queue a job again that has not asked for it.
    given["additional_parameters"] = {"requeue": True}
    try:
        made.update_parameters(**{**given, **chosen})
    except (ValueError, TypeError) as error:
        known = ", ".join(sorted(made._valid_parameters()))
        raise UsageError(f"--slurm: {str(error).splitlines()[0]}; known: {known}") from None
    return made


def submit(executor: Any, commands: Sequence[Sequence[str]], folder: Path) -> list[str]:
    """Submit commands as one array.

    Returns:
        The ids of its elements.

    Raises:
        LossbenchError: the cluster refuses it.
    """
    try:
        # What sbatch complains of is in the error, and would be said twice.
        with redirect_stderr(io.StringIO()):
            jobs = executor.submit_array([Element(words, folder) for words in commands])
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError, OSError) as error:
        raise LossbenchError(f"SLURM refuses the array: {str(error).splitlines()[0]}") from None
    return [job.job_id for job in jobs]
