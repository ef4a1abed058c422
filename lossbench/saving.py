"""Saving a training program after every epoch, so that one killed at any moment repeats at most the epoch under way.

Training itself saves every epoch before it begins the next: from then on the kernel has it, and no `kill -9` takes it
away. What a power cut would take away is settled on the disk by a thread beside the training, always the newest state
and only so often. The journal is synced before, so that even then no checkpoint is ahead of it.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

from lossbench import checkpoint, retention
from lossbench.home import Home, Keep
from lossbench.journal import Journal
from lossbench.spec import RunSpec

__all__ = ["Saver"]

CPU_SHARE = 0.1
"""Settling takes at most this share of one core."""

PAUSE_SECONDS = 1.0
"""The least time between two syncs, which hold up whatever is written to the same disk meanwhile."""


class Saver:
    """The checkpoint of one training program, and the thread that settles it."""

    def __init__(self, home: Home, journal: Journal, name: str, keep: Keep) -> None:
        self._home = home
        self._journal = journal
        self._name = name
        self._keep = keep
        self._asked: dict[str, str] = {}
        self._linked = False
        self._changed = threading.Condition()
        self._due = False
        self._settling = False
        self._hurried = False
        self._closed = False
        self._error: Exception | None = None
        # Not waited for by an interpreter that ends because somebody insisted.
        self._thread = threading.Thread(target=self._work, name=f"checkpoint {name}", daemon=True)

    def put(self, members: Mapping[str, RunSpec], states: Mapping[str, Any], *, epoch: int, threads: int) -> None:
        """Save the states of a program's members after an epoch, by run id; what is to be kept for good is settled too.

        Raises:
            StoreError: they could not be saved, or earlier ones not settled.
        """
        if self._asked.keys() != members.keys():
            self._asked = {run_id: checkpoint.asked(spec) for run_id, spec in members.items()}
        with self._changed:
            self._complain()
            checkpoint.save(self._home, self._name, self._asked, states, epoch=epoch, threads=threads)
            self._due = True
            self._changed.notify_all()
        if self._thread.ident is None:
            self._thread.start()
        # Until there is a first settled one of its own, a resumed run goes on from that of its last process.
        if self._keep == "all" or not self._linked:
            self.flush()
        if not self._linked:
            retention.link(self._home, self._name, members)
            self._linked = True
        if self._keep == "all":
            retention.keep(self._home, self._name, members, epoch)

    def flush(self) -> None:
        """Wait until the newest state is settled.

        Raises:
            StoreError: it could not be.
        """
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._settling and (not self._due or self._error is not None))
            self._hurried = False
            self._complain()

    def drop(self) -> None:
        """Settle no more of what was saved so far; when this returns, nothing is being written."""
        with self._changed:
            self._due = False
            self._changed.wait_for(lambda: not self._settling)

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
        while self._begin():
            began = time.monotonic(), time.thread_time()
            try:
                with self._changed:
                    checkpoint.hold(self._home, self._name)
                self._journal.sync()
                checkpoint.settle(self._home, self._name)
            # Whatever it is, it is the training's to report: nobody looks at this thread.
            except Exception as error:
                self._error = error
            with self._changed:
                self._settling = False
                self._changed.notify_all()
                if self._error is not None:
                    return
                rest = (time.thread_time() - began[1]) / CPU_SHARE - (time.monotonic() - began[0])
                self._changed.wait_for(lambda: self._hurried or self._closed, timeout=max(PAUSE_SECONDS, rest))

    def _begin(self) -> bool:
        """Wait for something to settle; False once there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._due)
            self._settling = self._due and not self._closed
            self._due = False
            return self._settling
