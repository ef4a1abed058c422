"""Who is training which run: no two processes may write one run's epochs.

A claim is a lock on one byte of a file that stays empty, at a place made from the run's id. The kernel drops it when
the process ends, however it ends, so that a claim never has to be cleared away.
"""

import fcntl
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lossbench.errors import StoreBusy, StoreError
from lossbench.home import Home

__all__ = ["claimed"]


@contextmanager
def claimed(home: Home, run_ids: Iterable[str]) -> Iterator[None]:
    """Within the block these runs belong to this process.

    Raises:
        StoreBusy: one of them belongs to another.
    """
    path = home.checkpoints / "claims.lock"
    try:
        file = path.open("ab")
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from error
    with file:
        for run_id in run_ids:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(run_id))
            except (BlockingIOError, PermissionError):
                raise StoreBusy(f"run {run_id} is being trained by another process") from None
            except OSError as error:
                raise StoreError(f"cannot lock {path}: {error.strerror}") from error
        yield


def _place(run_id: str) -> int:
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:7])
