"""Writing checkpoints beside the training, so that no epoch waits for the disk.

A thread always writes the newest state it was given; those that came in between are passed over. The journal is synced
before each checkpoint gets its name, so that even after a power cut no checkpoint is ahead of it.

What a process killed at any moment has to train again: the epoch under way and, where the state of the last one was
still on its way to the disk, that one too. Only where epochs are shorter than a write and the pause after it, together
usually less than a tenth of a second, are there more of them: those of two writes and a pause.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossbench import checkpoint
from lossbench.home import Home, Keep
from lossbench.journal import Journal
from lossbench.spec import RunSpec

__all__ = ["Saver", "Standing"]

CPU_SHARE = 0.1
"""Writing takes at most this share of one core; serialising holds the interpreter, for which training has to wait."""

PAUSE_SECONDS = 0.05
"""The least time between two writes, so that epochs of a few milliseconds are not slowed by a busy disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The copied states of a program's members after an epoch, by run id, and the threads they were computed with."""

    members: Mapping[str, RunSpec]
    states: Mapping[str, Any]
    epoch: int
    threads: int


class Saver:
    """The checkpoint file of one training program, written by a thread of its own."""

    def __init__(self, home: Home, journal: Journal, name: str, keep: Keep) -> None:
        self._home = home
        self._journal = journal
        self._name = name
        self._keep = keep
        self._changed = threading.Condition()
        self._waiting: Standing | None = None
        self._writing = False
        self._hurried = False
        self._closed = False
        self._error: Exception | None = None
        # Not waited for by an interpreter that ends because somebody insisted.
        self._thread = threading.Thread(target=self._work, name=f"checkpoint {name}", daemon=True)

    def put(self, standing: Standing) -> None:
        """Have a state written instead of one that still waits; with every epoch to be kept, wait until it is.

        Raises:
            StoreError: an earlier one could not be written.
        """
        with self._changed:
            self._complain()
            self._waiting = standing
            self._changed.notify_all()
        if self._thread.ident is None:
            self._thread.start()
        if self._keep == "all":
            self.flush()

    def flush(self) -> None:
        """Wait until the newest state is on the disk.

        Raises:
            StoreError: it could not be written.
        """
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._writing and (self._waiting is None or self._error is not None))
            self._hurried = False
            self._complain()

    def drop(self) -> None:
        """Forget the state that waits; when this returns, nothing is being written."""
        with self._changed:
            self._waiting = None
            self._changed.wait_for(lambda: not self._writing)

    def close(self) -> None:
        """`drop`, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.drop()

    def _complain(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (standing := self._next()) is not None:
            began = time.monotonic(), time.thread_time()
            try:
                self._write(standing)
            # Whatever it is, it is the training's to report: nobody looks at this thread.
            except Exception as error:
                self._error = error
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                if self._error is not None:
                    return
                rest = (time.thread_time() - began[1]) / CPU_SHARE - (time.monotonic() - began[0])
                self._changed.wait_for(lambda: self._hurried or self._closed, timeout=max(PAUSE_SECONDS, rest))

    def _next(self) -> Standing | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting is not None)
            standing, self._waiting = self._waiting, None
            self._writing = standing is not None and not self._closed
            return standing if self._writing else None

    def _write(self, standing: Standing) -> None:
        self._journal.sync()
        checkpoint.save(
            self._home,
            self._name,
            standing.members,
            standing.states,
            epoch=standing.epoch,
            threads=standing.threads,
        )
        if self._keep == "all":
            checkpoint.keep(self._home, self._name, standing.members, standing.epoch)
