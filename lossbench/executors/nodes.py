"""What a machine of a cluster does for a driver elsewhere: train in a folder of its own, and tell all that it writes.

The driver's copy of a journal is the node's, byte for byte, so that the two can be set against each other later: what
a driver did not live to hear is fetched by the next one.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lossbench import __version__, journal, processes
from lossbench.errors import LossbenchError, UsageError
from lossbench.events import new_run_id
from lossbench.executors.work import Group, Settings, train
from lossbench.home import Home

__all__ = [
    "Answer",
    "Forgot",
    "News",
    "Node",
    "Saved",
    "Seat",
    "Told",
    "Visited",
    "folder_for",
    "look",
    "name_of",
    "packed",
    "refuse_unlike",
    "visit",
]

FLUSH_SECONDS = 0.2
"""News is told at most this often: a message costs more than an epoch of a small network."""

_LOCK = "seat.lock"
"""A seat's file that is locked while it lives, and names its driver."""

LARGEST_SKEW_SECONDS = 10.0
"""Events of several machines are put in order by their times, and a run may move from one to another in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Lines of a journal, from a byte offset on."""

    attempt: str
    offset: int
    lines: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint file and the runs that go on from it."""

    name: str
    content: bytes
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgot:
    """Runs whose checkpoints are needed no more."""

    run_ids: tuple[str, ...]


News = Told | Saved | Forgot | LossbenchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine, the code on it, and its clock in seconds since 1970."""

    host: str
    code: str
    clock: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a node said of itself, and when it was asked and heard, in seconds since 1970 by the clock of the driver."""

    node: Node
    asked: float
    heard: float

    @property
    def skew(self) -> float:
        """Seconds by which the node's clock is ahead at least; negative where it is behind.

        A node that takes long to answer says less about its clock: anything between the two moments may be right.
        """
        return max(0.0, self.node.clock - self.heard) + min(0.0, self.node.clock - self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """What was found on a node."""

    node: Node
    told: tuple[Told, ...]
    """The ends of journals of which an earlier driver did not hear."""
    saved: tuple[tuple[int, Saved], ...]
    """Checkpoints that the driver may not have, and how many epochs each has behind it."""


def look() -> Node:
    """This machine."""
    return Node(host=platform.node(), code=_code(), clock=time.time())


def refuse_unlike(answers: Iterable[Answer], mine: Node) -> None:
    """Refuse nodes that would compute or order things differently.

    Raises:
        UsageError: another version of the code, or a clock that is off; it names every such node.
    """
    faults = []
    for answer in answers:
        host = answer.node.host
        if answer.node.code != mine.code:
            faults.append(f"node {host} runs {answer.node.code}, this machine {mine.code}; install the same on both")
        if abs(answer.skew) > LARGEST_SKEW_SECONDS:
            side = "ahead of" if answer.skew > 0 else "behind"
            faults.append(
                f"the clock of node {host} is {abs(answer.skew):.0f} s {side} this machine's; synchronise them"
            )
    if faults:
        raise UsageError("\n".join(dict.fromkeys(faults)))


def name_of(home: Home) -> str:
    """What nodes call this machine's home."""
    return f"{platform.node()}:{home.root}"


def folder_for(driver: str) -> Path:
    """Where this machine keeps what it does for the driver of that name: a folder for each seat, and the name."""
    return _base() / hashlib.sha256(driver.encode()).hexdigest()[:12]


def visit(driver: str, known: Mapping[str, int], wanted: Collection[str]) -> Visited:
    """This machine, and what dead seats on it have left for the driver of that name.

    What nobody will ask for any more is removed: folders that are known whole, and those made for homes of this machine
    that are gone.

    Args:
        known: bytes that the driver has of each journal.
        wanted: runs that it is about to go on with, and of which it wants the checkpoints.
    """
    told: list[Told] = []
    saved: list[tuple[int, Saved]] = []
    for seat in _base().glob("*/*/"):
        if seat.parent == folder_for(driver):
            untold, left = [*_untold(seat, known)], packed(Home(seat), wanted)
            told += untold
            saved += left
            if not untold and not left:
                _clear(seat)
        elif _orphaned(seat):
            _clear(seat)
    return Visited(node=look(), told=tuple(told), saved=tuple(saved))


def packed(home: Home, run_ids: Iterable[str]) -> list[tuple[int, Saved]]:
    """The checkpoints of these runs, as far as there are any, and how many epochs each has behind it."""
    files: dict[str, tuple[int, Saved]] = {}
    for run_id in run_ids:
        if home.checkpoint(run_id).exists():
            # It brings torch along, which most visits do without.
            from lossbench import checkpoint

            if found := checkpoint.packed(home, run_id):
                name, content, epoch = found
                others = files[name][1].run_ids if name in files else ()
                files[name] = epoch, Saved(name=name, content=content, run_ids=(*others, run_id))
    return [*files.values()]


class Seat:
    """A process of a cluster that trains one group at a time and may be asked to stop from another thread."""

    def __init__(self, driver: str, settings: Settings, data_dir: Path | None, owner: Mapping[str, Any]) -> None:
        """`settings.home` is the driver's: only a folder for checkpoints that it names is used from here."""
        from lossbench.data import data_folder

        self._stop = threading.Event()
        self._home = Home(folder_for(driver) / new_run_id(), settings.home.checkpoint_folder)
        self._home.root.mkdir(parents=True)
        # Held for life: what a dead seat leaves may be taken home and removed.
        lock = os.open(self._home.root / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, driver.encode())
        self._settings = replace(settings, home=self._home, data_folder=data_folder(data_dir))
        self._owner = {**owner, "node": processes.identity()}

    def introduce(self) -> Node:
        """The machine it is on, once it is up."""
        return look()

    def ask_to_stop(self) -> None:
        self._stop.set()

    def train(self, group: Group, checkpoints: Sequence[Saved]) -> Iterator[News]:
        """Train a group from these checkpoints and yield what becomes of it."""
        from lossbench import checkpoint

        try:
            self._home.create()
            for each in checkpoints:
                checkpoint.place(self._home, each.name, each.content, each.run_ids)
        except LossbenchError as error:
            yield error
            return
        outbox = _Outbox(self._home)
        flushed = 0.0
        broken: Exception | None = None
        try:
            for _ in train(group, self._settings, self._stop.is_set, self._owner):
                if time.monotonic() - flushed >= FLUSH_SECONDS:
                    yield from outbox.news()
                    flushed = time.monotonic()
        except Exception as error:
            broken = error
        # What went wrong may have come after something worth telling: the next group's outbox begins where this ends.
        yield from outbox.news()
        if isinstance(broken, LossbenchError):
            yield broken
        elif broken is not None:
            raise broken

    def leave(self) -> None:
        """Clear away, once the driver has heard everything."""
        _remove(self._home.root)


class _Outbox:
    """What has been written since it was last asked."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._sizes = journal.sizes(home)
        self._links = self._linked()

    def news(self) -> Iterator[News]:
        for attempt, size in journal.sizes(self._home).items():
            known = self._sizes.get(attempt, 0)
            if size > known:
                self._sizes[attempt] = size
                with (self._home.journals / f"{attempt}.jsonl").open("rb") as file:
                    file.seek(known)
                    yield Told(attempt=attempt, offset=known, lines=file.read(size - known))
        before, self._links = self._links, self._linked()
        for place in {place for run_id, place in self._links.items() if before.get(run_id) != place}:
            name, run_ids = place[0], tuple(run_id for run_id, its in self._links.items() if its == place)
            yield Saved(name=name, content=(self._home.checkpoints / name).read_bytes(), run_ids=run_ids)
        if gone := tuple(before.keys() - self._links.keys()):
            yield Forgot(run_ids=gone)

    def _linked(self) -> dict[str, tuple[str, int, int]]:
        """For each run the file that its checkpoint is in, and what tells it from an earlier one of that name.

        Nothing for a shared folder. A time of writing alone would not do: two may lie within one tick of the clock.
        """
        if self._home.checkpoint_folder is not None:
            return {}
        links = {}
        for link in self._home.checkpoints.glob("*.pt"):
            with contextlib.suppress(OSError):
                found = link.stat()
                links[link.stem] = (link.readlink().name, found.st_mtime_ns, found.st_ino)
        return links


def _base() -> Path:
    return Path(tempfile.gettempdir()) / f"lossbench-{os.getuid()}"


def _untold(seat: Path, known: Mapping[str, int]) -> Iterator[Told]:
    """The ends of a seat's journals that the driver does not have."""
    for attempt, size in journal.sizes(Home(seat)).items():
        offset = known.get(attempt, 0)
        if size > offset:
            lines = (Home(seat).journals / f"{attempt}.jsonl").read_bytes()[offset:]
            yield Told(attempt=attempt, offset=offset, lines=lines)


def _orphaned(seat: Path) -> bool:
    """Whether it was made for a home of this machine that is there no more."""
    try:
        host, _, root = (seat / _LOCK).read_text().partition(":")
    except OSError:
        return False
    return host == platform.node() and not Path(root).exists()


def _clear(seat: Path) -> None:
    """Remove what a seat left, unless it lives."""
    with contextlib.suppress(OSError), (seat / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(seat)


def _remove(seat: Path) -> None:
    """Remove a seat's folder, and with the last one that of its driver."""
    shutil.rmtree(seat, ignore_errors=True)
    with contextlib.suppress(OSError):
        seat.parent.rmdir()


@cache
def _code() -> str:
    """What decides the numbers besides the machine, in a few words; sources count, for a checkout has one version."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"lossbench {__version__} ({digest.hexdigest()[:8]}) with torch {importlib.metadata.version('torch')}"
