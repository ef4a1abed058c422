"""The data sets by name; a module of this package adds its own by calling `register`."""

from functools import cache

from lossbench.data.types import Source
from lossbench.discovery import import_all
from lossbench.errors import unknown

__all__ = ["catalogue", "get", "register"]

_SOURCES: dict[str, Source] = {}


def register(source: Source) -> Source:
    """Make a data set available under its name."""
    if source.name in _SOURCES:
        raise ValueError(f"data set {source.name!r} is registered twice")
    _SOURCES[source.name] = source
    return source


def catalogue() -> tuple[Source, ...]:
    """Every data set, sorted by name."""
    return tuple(_discovered()[name] for name in sorted(_discovered()))


def get(name: str) -> Source:
    """The data set of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in _discovered():
        raise unknown("data set", name, _discovered())
    return _discovered()[name]


@cache
def _discovered() -> dict[str, Source]:
    import_all("lossbench.data")
    return _SOURCES
