"""Finding out which journals are final: whole in the store, and nothing will be added to them."""

import time
from pathlib import Path

from duckdb import DuckDBPyConnection

from lossbench import journal
from lossbench.home import Home
from lossbench.store import ingest
from lossbench.store.writers import WRITER, alive

__all__ = ["find"]

QUIET_SECONDS = 60.0
"""A journal is final at the earliest so long after its last line."""

_WRITERS = f"""
SELECT attempt, {WRITER}
FROM started SEMI JOIN (SELECT attempt FROM ingested GROUP BY attempt HAVING min(size) > $final) USING (attempt)
"""


def find(connection: DuckDBPyConnection, home: Home) -> None:
    """Put down which journals have become final.

    The processes that began runs in it must have died on this host, and nobody may hold the lock of a writer. The copy
    of another machine's journal is never final: more of it may arrive at any time.
    """
    writers = connection.execute(_WRITERS, {"final": ingest.FINAL}).fetchall()
    living = {attempt for attempt, *writer in writers if alive(writer) is not False}
    found = {
        attempt: ingest.Receipt(receipt.bytes, receipt.seq, ingest.FINAL)
        for attempt, receipt in ingest.receipts(connection, final=False).items()
        if attempt not in living and _finished(home.journals / f"{attempt}.jsonl", receipt.size)
    }
    if found:
        connection.begin()
        ingest.sign(connection, found)
        connection.commit()


def _finished(path: Path, size: int) -> bool:
    try:
        quiet = time.time() - path.lstat().st_mtime > QUIET_SECONDS
        # How long it is comes last: a writer who has let go has written all his lines before.
        return quiet and not journal.copied(path) and not journal.writing(path) and path.lstat().st_size == size
    except OSError:
        return False
