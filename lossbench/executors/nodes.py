"""What a machine of a cluster does for a driver elsewhere: train in a folder of its own, and tell all that it writes.

The driver's copy of a journal is the node's, byte for byte, so that the two can be set against each other later: what
a driver did not live to hear is fetched by the next one.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    "driver_folder",
    "look",
    "refuse_unlike",
    "visit",
]

FLUSH_SECONDS = 0.2
"""News is told at most this often: a message costs more than an epoch of a small network."""

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


def driver_folder(driver: str) -> Path:
    """Where this machine keeps what it does for the home of that name."""
    return Path(tempfile.gettempdir()) / f"lossbench-{os.getuid()}" / driver


def visit(driver: str, known: Mapping[str, int]) -> tuple[Node, list[Told]]:
    """This machine, and the ends of journals of which an earlier driver knows only so many bytes.

    What is known whole, and written no more, is removed.
    """
    left = []
    for path in driver_folder(driver).glob("*/journal/*.jsonl"):
        size = path.stat().st_size
        if size > known.get(path.stem, 0):
            offset = known.get(path.stem, 0)
            left.append(Told(attempt=path.stem, offset=offset, lines=path.read_bytes()[offset:]))
        elif not journal.writing(path):
            shutil.rmtree(path.parent.parent, ignore_errors=True)
    return look(), left


class Seat:
    """A process of a cluster that trains one group at a time and may be asked to stop from another thread."""

    def __init__(self, driver: str, settings: Settings, data_dir: Path | None, owner: Mapping[str, Any]) -> None:
        """`settings.home` is the driver's: only a folder for checkpoints that it names is used from here."""
        from lossbench.data import data_folder

        self._stop = threading.Event()
        self._home = Home(driver_folder(driver) / new_run_id(), settings.home.checkpoint_folder)
        self._settings = replace(settings, home=self._home, data_folder=data_folder(data_dir))
        self._owner = {**owner, "node": processes.identity()}

    def ask_to_stop(self) -> None:
        self._stop.set()

    def train(self, group: Group, checkpoints: Sequence[Saved], driver: Node) -> Iterator[News]:
        """Train a group from these checkpoints and yield what becomes of it."""
        from lossbench import checkpoint

        try:
            here = look()
            refuse_unlike([Answer(node=here, asked=here.clock, heard=here.clock)], driver)
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
        shutil.rmtree(self._home.root, ignore_errors=True)


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


def _code() -> str:
    """What decides the numbers besides the machine, in a few words; sources count, for a checkout has one version."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"lossbench {__version__} ({digest.hexdigest()[:8]}) with torch {importlib.metadata.version('torch')}"
