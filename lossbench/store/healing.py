"""Finishing what killed processes left undone: checkpoints that no run needs any more."""

import contextlib
from typing import TYPE_CHECKING

from lossbench import retention
from lossbench.errors import StoreError
from lossbench.home import Home
from lossbench.journal import writing
from lossbench.store.writers import WRITER, alive

if TYPE_CHECKING:
    from lossbench.store.store import Store

__all__ = ["clear_up"]

# The policy is that of the process that ended the run; one that diverged is never gone on with.
_OVER = f"""
SELECT run_id, {WRITER}
FROM ended JOIN started USING (run_id, attempt)
WHERE list_contains($linked, run_id)
    AND (status = 'diverged' OR (status = 'done' AND provenance->>'$.keep_checkpoints' = 'none'))
"""


def clear_up(store: "Store", home: Home) -> None:
    """Remove the checkpoints that a process meant to remove and was killed before; in a folder that is read-only, none.

    A process that lives sees to its own.
    """
    linked = retention.linked(home)
    over = store.rows(_OVER, {"linked": linked}) if linked else []
    left = [run for run, *writer in over if alive(writer) is False]
    with contextlib.suppress(StoreError, OSError):
        retention.discard(home, left)
        # Who writes into a folder that machines share cannot be told from here.
        if home.checkpoint_folder is None:
            retention.tidy(home, lambda program: _being_written(home, program))


def _being_written(home: Home, program: str) -> bool:
    journal = home.journals / f"{program.partition('-')[0]}.jsonl"
    return journal.exists() and writing(journal)
