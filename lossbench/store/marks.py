"""What people say of runs, written the way runs write: into a journal, whence it flows into the store."""

from collections.abc import Mapping, Sequence

from lossbench.events import RunMarked, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.store.store import try_ingest

__all__ = ["mark"]


def mark(home: Home, run_ids: Sequence[str], marks: Mapping[str, str | bool]) -> None:
    """Put the same marks on several runs; see `RunMarked` for their names.

    Raises:
        StoreError: the home cannot be written to.
    """
    home.create()
    with Journal(home) as journal:
        for run_id in run_ids:
            journal.append(RunMarked(run_id=run_id, at=now(), marks=marks), sync=run_id == run_ids[-1])
    try_ingest(home)
