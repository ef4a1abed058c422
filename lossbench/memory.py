"""How much memory is free, and what this process takes, for whoever wants to start more of them."""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_mib", "peak_mib"]

# The limit, what is used of it, and the part of that which is cache and given up on demand, in cgroups v2 and v1.
_UNIFIED = ("memory.max", "memory.current", "inactive_file")
_LEGACY = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available_mib(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """MiB that processes can still take here: the machine's, or what the narrowest control group around this process
    leaves, whether its own or one further out; None where nothing tells."""
    machine = _of_machine(proc)
    return min([*([] if machine is None else [machine]), *_of_groups(proc, cgroups)], default=None)


def peak_mib(proc: Path = Path("/proc")) -> float:
    """The most memory that this process has taken so far, shared libraries included, in MiB; 0 where nothing tells."""
    lines = _read(proc / "self" / "status").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _of_machine(proc: Path) -> float | None:
    lines = _read(proc / "meminfo").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _of_groups(proc: Path, cgroups: Path) -> Iterator[float]:
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            # Beside groups of version 1, version 2 has a place of its own.
            tops, files = [cgroups, cgroups / "unified"], _UNIFIED
        elif "memory" in controllers.split(","):
            tops, files = [cgroups / "memory"], _LEGACY
        else:
            continue
        # A container may see its own group as the topmost and yet be told the path that the host knows.
        group = Path(*(part for part in path.split("/") if part not in ("", "..")))
        for top in tops:
            for folder in (top / group, *(top / outer for outer in group.parents)):
                yield from _left_in(folder, *files)


def _left_in(folder: Path, limit: str, current: str, cache: str) -> Iterator[float]:
    """What one group leaves, in MiB; nothing where it is not there or sets no limit."""
    most, used = _read(folder / limit).strip(), _read(folder / current).strip()
    if most.isdecimal() and used.isdecimal():
        counts = dict(line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines())
        yield max(0, int(most) - int(used) + int(counts.get(cache, 0))) / 2**20


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
