"""The cores of this machine, shared among the processes that train on them.

Every training process shows a file in one folder per user, locked for as long as it lives, and confines itself to its
part of the cores; when a process comes or goes, the others move. The number of threads stays what it was, because sums
round as they are divided among threads: a run's numbers never depend on who trained beside it, only its speed does.
"""

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["part", "patiently", "sharing"]

LOOK_SECONDS = 1.0
"""How long a process that came or went may go unnoticed."""

SPINS = "10000"
"""How often a thread that waits for its fellows looks before it sleeps, about 0.2 ms. OpenMP's own choice is some
milliseconds, which loses most of a machine's work as soon as anybody else needs one of its cores."""


def patiently() -> None:
    """Let OpenMP's threads wait for each other asleep, unless the user has chosen; to be called before torch loads."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextmanager
def sharing() -> Iterator[Callable[[], None]]:
    """Within the block this process computes on its part of the cores.

    Yields:
        A function to be called now and then: it looks, at most once a second, who else trains here, and moves this
        process. Where the system knows no affinity, or no folder can be had, it does nothing.
    """
    folder = _folder() if hasattr(os, "sched_setaffinity") else None
    mine = sorted(os.sched_getaffinity(0)) if folder else []
    claim = _claim(folder, mine) if folder else None
    if folder is None or claim is None:
        yield lambda: None
        return
    seen = mine
    look_at = 0.0

    def look() -> None:
        nonlocal seen, look_at
        if time.monotonic() < look_at:
            return
        look_at = time.monotonic() + LOOK_SECONDS
        found = part(mine, str(os.getpid()), _others(folder))
        if found != seen:
            _move(found)
            seen = found

    try:
        look()
        yield look
    finally:
        with contextlib.suppress(OSError):
            (folder / str(os.getpid())).unlink()
        os.close(claim)
        if seen != mine:
            _move(mine)


def part(mine: Sequence[int], name: str, others: dict[str, Sequence[int]]) -> list[int]:
    """The cores of `mine` that fall to the process of that name, beside others that may use some of them too.

    All who may use the same cores come to parts that do not overlap, as long as there is a core for each.
    """
    rivals = sorted([name, *(other for other, cores in others.items() if set(cores) & set(mine))])
    place, count = rivals.index(name), len(rivals)
    if count > len(mine):
        return [mine[place % len(mine)]]
    return list(mine[len(mine) * place // count : len(mine) * (place + 1) // count])


def _folder() -> Path | None:
    """The place where this user's processes meet; None where there is none that is safe."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime or tempfile.gettempdir()) / f"lossbench-cores-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Anybody may have made a folder of that name in /tmp.
        return folder if folder.lstat().st_uid == os.getuid() and not folder.is_symlink() else None
    except OSError:
        return None


def _claim(folder: Path, cores: Sequence[int]) -> int | None:
    """Show that this process computes; the descriptor holds the lock until it is closed or the process ends."""
    try:
        file, made = tempfile.mkstemp(prefix=".", dir=folder)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, json.dumps(cores).encode())
        # Only now can it be seen, locked and whole.
        Path(made).rename(folder / str(os.getpid()))
    except OSError:
        return None
    return file


def _others(folder: Path) -> dict[str, Sequence[int]]:
    """The cores each other living process may use, by its number; what dead ones left is cleared away."""
    found: dict[str, Sequence[int]] = {}
    for path in folder.iterdir():
        if path.name == str(os.getpid()) or not path.name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found[path.name] = json.load(file)
            else:
                path.unlink()
    return found


def _move(cores: Sequence[int]) -> None:
    """Let every thread of this process run on these cores; threads to come begin where their maker is."""
    for thread in Path("/proc/self/task").iterdir():
        # A thread may end while we look, and a container may take a core away.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(thread.name), cores)
