"""Which processes outlive the command that started them."""

import time
from pathlib import Path

__all__ = ["left"]


def left(leader: int, patience: float = 5.0) -> list[str]:
    """Names of the processes that are in a leader's session when others have had time to leave.

    Ray's agents write over their environment and lose their parents; the session is what they keep.
    """
    deadline = time.monotonic() + patience
    while (found := _in_session(leader)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _in_session(leader: int) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            name, _, rest = (process / "stat").read_text().rpartition(")")
        except OSError:
            continue
        state, _, _, session = rest.split()[:4]
        if int(session) == leader and state not in "ZX":
            found.append(name)
    return found
