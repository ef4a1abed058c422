"""How much memory is free, for whoever wants to start more processes."""

from pathlib import Path

__all__ = ["available_mib"]


def available_mib() -> float | None:
    """MiB that processes can still take, within this container where it has a limit; None where nothing tells."""
    free = [each for each in (_of_machine(), _of_container()) if each is not None]
    return min(free, default=None)


def _of_machine() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _of_container() -> float | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used)) / 2**20
