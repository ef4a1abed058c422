"""Where the time of training goes, phase by phase."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["Stopwatch"]

T = TypeVar("T")


class Stopwatch:
    """Seconds by phase, and how many epochs they were spent on."""

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        """`wait` ends each phase: for a GPU, until it has done what it was asked. That slows it down, so that shares
        are true and the total is too long."""
        self.seconds: dict[str, float] = defaultdict(float)
        self.epochs = 0
        self._wait = wait

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._wait()
            self.seconds[name] += time.perf_counter() - began

    def each(self, name: str, things: Iterable[T]) -> Iterator[T]:
        """The same things, the making of each counted as that phase."""
        iterator = iter(things)
        while True:
            with self.phase(name):
                thing = next(iterator, None)
            if thing is None:
                return
            yield thing
