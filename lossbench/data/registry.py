"""The data sets by name; a module of this package adds its own by calling `register`."""

import importlib
import pkgutil
from functools import cache

import lossbench.data
from lossbench.data.types import Source
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
    for module in pkgutil.iter_modules(lossbench.data.__path__):
        importlib.import_module(f"{lossbench.data.__name__}.{module.name}")
    return _SOURCES
