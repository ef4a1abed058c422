"""What people say of runs, written the way runs write: into a journal, whence it flows into the store."""

from collections.abc import Mapping, Sequence

from lossbench.events import RunMarked, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.store.store import try_ingest

__all__ = ["mark", "mark_each"]


def mark(home: Home, run_ids: Sequence[str], marks: Mapping[str, str | bool]) -> None:
    """Put the same marks on several runs; see `RunMarked` for their names.

    Raises:
        StoreError: the home cannot be written to.
    """
    mark_each(home, dict.fromkeys(run_ids, marks))


def mark_each(home: Home, marks: Mapping[str, Mapping[str, str | bool]]) -> None:
    """Put marks of its own on each run.

    Raises:
        StoreError: the home cannot be written to.
    """
    home.create()
    last = list(marks)[-1:]
    with Journal(home) as journal:
        for run_id, said in marks.items():
            journal.append(RunMarked(run_id=run_id, at=now(), marks=said), sync=run_id in last)
    try_ingest(home)
