"""The only signal handlers of the program. They count; whoever trains asks between batches."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lossbench.errors import ExitCode

__all__ = ["NOTICE", "Stop", "stop_on_signals"]

NOTICE = "stopping after this batch; once more stops at once"

_GENTLE = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stop:
    """Whether training should stop; calling it answers."""

    def __init__(self, max_seconds: float | None = None) -> None:
        self._deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self.received: int | None = None
        self.shown_elsewhere = False
        """Whether a live screen, which a line from here would tear, shows the notice instead."""

    def __call__(self) -> bool:
        return self.received is not None or (self._deadline is not None and time.monotonic() >= self._deadline)

    @property
    def exit_code(self) -> ExitCode:
        """130 after Ctrl-C or when time ran out, 143 after the signals a batch system sends."""
        return ExitCode.INTERRUPTED if self.received in (None, signal.SIGINT) else ExitCode.TERMINATED

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        if self.shown_elsewhere:
            return
        # Not print: its lock may be held by the code this handler has interrupted.
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), f"{NOTICE}\n".encode())


@contextmanager
def stop_on_signals(max_seconds: float | None = None) -> Iterator[Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGUSR1, or the end of `max_seconds`, into a wish to stop; ignore SIGHUP."""
    stop = Stop(max_seconds)
    before = {number: signal.signal(number, stop._receive) for number in _GENTLE}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
