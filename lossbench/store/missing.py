"""What to say of a selection that no run satisfies."""

from fnmatch import fnmatchcase

from lossbench.errors import NothingFound, unknown
from lossbench.store import queries
from lossbench.store.selection import Selection
from lossbench.store.store import Store

__all__ = ["nothing"]


def nothing(store: Store, selection: Selection) -> NothingFound:
    """The error for a selection without runs, with the nearest preset or loss where one is meant that has none."""
    for column, meant in (("preset", selection.presets), ("loss", selection.losses)):
        stored = queries.known(store, column) if meant else []
        strange = [each for each in meant if not any(fnmatchcase(name, each) for name in stored)]
        if stored and strange:
            return NothingFound(f"no runs: {unknown(column, strange[0], stored)}")
    return NothingFound("no run matches; `lossbench ls` lists what is there")
