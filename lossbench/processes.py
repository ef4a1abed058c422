"""Which process is writing, in words that hold after it has died, its number was reused or the machine restarted."""

import os
import platform
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["alive", "identity", "terminate"]


def identity() -> dict[str, Any]:
    """Host, boot, process id and start time of this process; part of every run's provenance."""
    pid = os.getpid()
    return {"host": platform.node(), "boot_id": _boot_id(), "pid": pid, "pid_started": _started(pid)}


def alive(process: Mapping[str, Any]) -> bool | None:
    """Whether the process with that `identity` still runs; None when it belongs to another host."""
    if process.get("host") != platform.node():
        return None
    if process.get("boot_id") != _boot_id():
        return False
    pid, started = process.get("pid"), process.get("pid_started")
    if type(pid) is not int or pid <= 0:
        return False
    if started is not None:
        return bool(_started(pid) == started)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def terminate(process: Mapping[str, Any]) -> bool:
    """Send SIGTERM to the process with that `identity`; False when it does not run here."""
    try:
        # From here on the number can stand for no other process, so that what is checked is what is hit.
        handle = os.pidfd_open(process["pid"])
    except (OSError, KeyError, TypeError, OverflowError):
        return False
    try:
        if not alive(process):
            return False
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """Clock ticks from boot to the start of a living process, where the kernel tells; None for a zombie."""
    try:
        # The command in the second field may hold blanks and brackets; the fields after its last bracket do not.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
