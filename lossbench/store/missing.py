"""What to say of a selection that no run satisfies."""

from fnmatch import fnmatchcase

from lossbench.errors import NothingFound, unknown
from lossbench.store import queries
from lossbench.store.selection import Selection
from lossbench.store.store import Store

__all__ = ["nothing", "strange"]


def strange(store: Store, selection: Selection) -> str:
    """Which preset or loss is meant that has no runs, with the nearest one that has; empty where none is."""
    for column, meant in (("preset", selection.presets), ("loss", selection.losses)):
        stored = queries.known(store, column) if meant else []
        for each in meant:
            if stored and not any(fnmatchcase(name, each) for name in stored):
                return str(unknown(column, each, stored))
    return ""


def nothing(store: Store, selection: Selection) -> NothingFound:
    """The error for a selection without runs."""
    found = strange(store, selection)
    return NothingFound(f"no runs: {found}" if found else "no run matches; `lossbench ls` lists what is there")
