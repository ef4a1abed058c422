"""How far a long preparation has come, told to whoever listens; without a listener it goes on in silence."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["Listener", "advance", "listening", "tracked"]

T = TypeVar("T")

Listener = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and how much there is where that is known."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within the block, that listener is told."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def advance(what: str, done: int, total: int | None = None) -> None:
    """Say that so much of it is done."""
    if (listener := _listener.get()) is not None:
        listener(what, done, total)


def tracked(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items as they are, counted as they are asked for."""
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        advance(what, done, total)
    if done != total:
        advance(what, done, done)
