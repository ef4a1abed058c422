"""The process behind one slot of a pool: `python -m lossbench.executors.worker <descriptor of its socket>`."""

import contextlib
import importlib
import signal
import sys
import time
from multiprocessing.connection import Connection
from types import FrameType

from lossbench.errors import LossbenchError
from lossbench.executors.trial import pace
from lossbench.executors.work import Group, Rehearsal, Settings, train

POLL_SECONDS = 0.05
"""The parent is listened to at most this often: asking costs more than a small batch."""


class _Parent:
    """The parent process: it is told events, and may wish the group under way to stop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._listen_at = 0.0
        self.wishes_to_stop = False
        self.busy = False

    def asks_to_stop(self) -> bool:
        if not self.wishes_to_stop and time.monotonic() >= self._listen_at:
            self._listen_at = time.monotonic() + POLL_SECONDS
            try:
                # The only thing said while a group runs is to stop; a parent that is gone says it by its silence.
                self.wishes_to_stop = self._connection.poll()
            except OSError:
                self.wishes_to_stop = True
        return self.wishes_to_stop

    def tell(self, message: object) -> None:
        try:
            self._connection.send(message)
        except OSError:
            self.wishes_to_stop = True

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGTERM: at rest go at once, at work after the present batch."""
        if not self.busy:
            raise SystemExit
        self.wishes_to_stop = True


def main() -> None:
    """Run one group after the other until the parent closes the socket or asks to stop."""
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    connection = Connection(int(sys.argv[1]))
    parent = _Parent(connection)
    signal.signal(signal.SIGTERM, parent.stop)
    # Loaded before the first group is asked for, so that nobody waits for it then.
    importlib.import_module("lossbench.experiment")
    with contextlib.suppress(EOFError):
        parent.tell(None)
        while not parent.wishes_to_stop and (asked := connection.recv()) is not None:
            parent.busy = True
            match asked:
                case Rehearsal(group=group), Settings() as settings:
                    parent.tell(_rehearse(connection, settings, group))
                case Group() as group, Settings() as settings:
                    _work(parent, settings, group)
            parent.busy = False
            # A worker that was asked to stop leaves without a word, or it might be given another group on its way out.
            if not parent.wishes_to_stop:
                parent.tell(None)


def _rehearse(connection: Connection, settings: Settings, group: Group) -> float | LossbenchError:
    """Cell epochs per second, from the moment at which the parent says that all workers are ready."""

    def ready() -> None:
        connection.send(None)
        connection.recv()

    try:
        return pace(group, settings, ready)
    except LossbenchError as error:
        return error


def _work(parent: _Parent, settings: Settings, group: Group) -> None:
    try:
        for event in train(group, settings, parent.asks_to_stop):
            parent.tell(event)
    except LossbenchError as error:
        parent.tell(error)


if __name__ == "__main__":
    main()
