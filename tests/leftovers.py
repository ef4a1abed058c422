"""Which processes outlive the command that started them."""

import os
import time
import uuid
from pathlib import Path

__all__ = ["MARK", "left", "marked"]

MARK = "LOSSBENCH_TEST_MARK"


def marked(**more: str) -> dict[str, str]:
    """An environment that tells the descendants of one command from all other processes."""
    return {**os.environ, MARK: uuid.uuid4().hex, **more}


def left(environment: dict[str, str], patience: float = 5.0) -> list[str]:
    """Command lines of the descendants that are there when others have had time to leave."""
    deadline = time.monotonic() + patience
    while (found := _alive(f"{MARK}={environment[MARK]}".encode())) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _alive(entry: bytes) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            # A process that has ended and is not buried yet has no environment any more.
            if process.name.isdecimal() and entry in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
