"""Starting real processes, and watching them at work by what they write."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from lossbench.home import Home
from lossbench.journal import journals, read

__all__ = ["Start", "starting", "told", "trained", "until"]

Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def starting(home: Home) -> Iterator[Start]:
    """Start lossbench in sessions of their own, as a terminal does; none outlives the block."""
    processes: list[subprocess.Popen[str]] = []

    def start(
        *words: object, environment: Mapping[str, str] | None = None, **options: object
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lossbench", *map(str, words)],
            env={**os.environ, "LOSSBENCH_HOME": str(home.root), **(environment or {})},
            start_new_session=True,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()


def told(home: Home, kind: str) -> list[dict]:
    """Every journalled event of a kind, in the order of time."""
    bodies = [line.body for path in journals(home) for line in read(path) if line.body["kind"] == kind]
    return sorted(bodies, key=lambda body: body["at"])


def until(condition: Callable[[], object], seconds: float = 60, process: "subprocess.Popen[str] | None" = None) -> None:
    """Wait for something that a process is to bring about; one that has ended will not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def trained(
    home: Home,
    epochs: int,
    *,
    runs: int = 1,
    since: str = "",
    seconds: float = 60,
    process: "subprocess.Popen[str] | None" = None,
) -> None:
    """Wait until that many runs have that many epochs in the journals, told after some moment."""

    def there() -> bool:
        counts = Counter(body["run_id"] for body in told(home, "epoch") if body["at"] > since)
        return len(counts) >= runs and min(counts.values()) >= epochs

    until(there, seconds, process)
