"""Watching real processes at work by what they write."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable

from lossbench.home import Home
from lossbench.journal import journals, read

__all__ = ["told", "trained", "until"]


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
