"""The cores of this machine, shared among the processes that train on them.

Every training process shows a file in one folder per user, locked for as long as it lives. Where there is a core for
every thread, each confines itself to its part of the cores, and when a process comes or goes, the others move. Where
there is not, they take turns of a tenth of a second on all cores, changing between two batches and at the end of an
epoch: threads that wait for fellows on the same core would lose most of the work. The number of threads stays what it
was, because sums round as they are divided among threads: a run's numbers never depend on who trained beside it, only
its speed does.
"""

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Claim", "Sharing", "crowded", "part", "patiently", "sharing"]

LOOK_SECONDS = 0.2
"""How long a process that came or went may go unnoticed."""

TURN_SECONDS = 0.1
"""How long a process computes before it lets the next one."""

PAUSE_SECONDS = 0.001
"""How often a process that waits for its turn asks for it."""

SPINS = "10000"
"""How often a thread that waits for its fellows looks before it sleeps, about 0.2 ms. OpenMP's own choice is some
milliseconds, which loses most of a machine's work as soon as anybody else needs one of its cores."""


def patiently() -> None:
    """Let OpenMP's threads wait for each other asleep, unless the user has chosen; to be called before torch loads."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a process computes with: the cores it may use, and its threads."""

    cores: tuple[int, ...]
    threads: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a process gets on with others on its cores; by default it does nothing about them."""

    look: Callable[[], None] = lambda: None
    """To be called between batches: sees, a few times a second, who else trains here, moves this process, and where
    they take turns, waits for the next."""
    rest: Callable[[], None] = lambda: None
    """To be called before work that leaves the cores idle, such as writing to disk: a turn ends early."""


@contextmanager
def sharing(threads: int) -> Iterator[Sharing]:
    """Within the block this process computes with so many threads on its part of the cores, or on all in its turn.

    Where the system knows no affinity, or no folder can be had, it computes wherever it is put.
    """
    folder = _folder() if hasattr(os, "sched_setaffinity") else None
    mine = Claim(tuple(sorted(os.sched_getaffinity(0))) if folder else (), threads)
    turn = _turn(folder) if folder else None
    claim = _claim(folder, mine) if folder and turn else None
    if folder is None or turn is None or claim is None:
        if turn:
            turn.close()
        yield Sharing()
        return
    seen, crowd = mine.cores, False
    look_at = 0.0

    def see() -> None:
        nonlocal seen, crowd, look_at
        if time.monotonic() < look_at:
            return
        look_at = time.monotonic() + LOOK_SECONDS
        others = _others(folder)
        crowd = crowded(mine, others.values())
        place = tuple(part(mine.cores, str(os.getpid()), {name: other.cores for name, other in others.items()}))
        found = mine.cores if crowd or len(place) < threads else place
        if found != seen:
            _move(found)
            seen = found

    def look() -> None:
        see()
        if crowd and turn.over:
            turn.leave()
            # Whoever waits finds it free before this process asks again.
            time.sleep(PAUSE_SECONDS)
            while crowd and not turn.taken():
                time.sleep(PAUSE_SECONDS)
                see()
        if not crowd:
            turn.leave()

    try:
        see()
        yield Sharing(look, turn.leave)
    finally:
        with contextlib.suppress(OSError):
            (folder / str(os.getpid())).unlink()
        os.close(claim)
        turn.close()
        if seen != mine.cores:
            _move(mine.cores)


def crowded(mine: Claim, others: Iterable[Claim]) -> bool:
    """Whether processes on these cores have more threads than there are cores, and some have several.

    Then threads would wait for fellows that are not running; single ones wait for nobody.
    """
    rivals = [other for other in others if set(other.cores) & set(mine.cores)]
    threads = [mine.threads, *(other.threads for other in rivals)]
    return bool(rivals) and sum(threads) > len(mine.cores) and max(threads) > 1


class _Turn:
    """The right to compute for a while, which one process has at a time."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._until = 0.0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._until

    def taken(self) -> bool:
        """Take it if nobody has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._until = time.monotonic() + TURN_SECONDS
        return True

    def leave(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._until = 0.0

    def close(self) -> None:
        os.close(self._file)


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


def _turn(folder: Path) -> _Turn | None:
    try:
        return _Turn(folder / "turn")
    except OSError:
        return None


def _claim(folder: Path, mine: Claim) -> int | None:
    """Show that this process computes; the descriptor holds the lock until it is closed or the process ends."""
    try:
        file, made = tempfile.mkstemp(prefix=".", dir=folder)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, json.dumps(asdict(mine)).encode())
        # Only now can it be seen, locked and whole.
        Path(made).rename(folder / str(os.getpid()))
    except OSError:
        return None
    return file


def _others(folder: Path) -> dict[str, Claim]:
    """What each other process at work claims, by its number; what dead ones left is cleared away."""
    found: dict[str, Claim] = {}
    for path in _entries(folder):
        if path.name == str(os.getpid()) or not path.name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError, TypeError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                claim = Claim(**json.load(file))
                # One that is stopped, by Ctrl-Z or a debugger, holds nobody up.
                if Path(f"/proc/{path.name}/stat").read_text().rpartition(")")[2].split()[0] not in ("T", "t"):
                    found[path.name] = claim
            else:
                path.unlink()
    return found


def _entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing where this process may open no more files."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _move(cores: Sequence[int]) -> None:
    """Let every thread of this process run on these cores; threads to come begin where their maker is."""
    for thread in _entries(Path("/proc/self/task")):
        # A thread may end while we look, and a container may take a core away.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(thread.name), cores)
