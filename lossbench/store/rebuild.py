"""Writing the store anew from its own events: how an earlier schema is left behind and a damaged file replaced.

The old file stays as it was until the new one is complete, and is kept beside it afterwards.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from duckdb import DuckDBPyConnection

from lossbench.errors import StoreError
from lossbench.home import Home
from lossbench.store import file, ingest

__all__ = ["rebuild", "replace", "upgrade"]

_BATCH = 20_000

_EVENTS = "SELECT DISTINCT ON (attempt, seq) attempt, seq, body FROM event ORDER BY attempt, seq"


def upgrade(home: Home, *, wait: float) -> str:
    """Bring a store of an earlier schema to the present one; says where the earlier file is kept.

    Raises:
        StoreError: the earlier file cannot be read, or the new one not written.
    """
    with file.locked(home, wait=wait):
        try:
            file.connect(home.store, read_only=True).close()
        except file.OlderSchemaError as older:
            kept = replace(home, f"schema-{older}", lambda new: _carry_over(home.store, new))
            return f"the store had an earlier schema and was rebuilt; the earlier file is kept as {kept}"
    return "the store had an earlier schema and was rebuilt by another process"


def rebuild(home: Home, *, wait: float = 30.0) -> list[str]:
    """Write the store anew from its events and the journals, or from the journals alone when it cannot be read.

    Raises:
        StoreError: the store belongs to somebody else, or the new one cannot be written.
    """
    notes: list[str] = []

    def fill(new: DuckDBPyConnection) -> None:
        if home.store.exists():
            try:
                _carry_over(home.store, new)
            except StoreError as error:
                notes.append(f"{error.args[0].partition(';')[0]}; taken from the journals alone")
        notes.extend(ingest.take_in(new, home))

    with file.locked(home, wait=wait):
        kept = replace(home, "before-rebuild", fill)
    return [*notes, *([f"the earlier file is kept as {kept}"] if kept else [])]


def replace(home: Home, label: str, fill: Callable[[DuckDBPyConnection], None]) -> Path | None:
    """Put a new store in the place of the present one, which is kept under a label; the caller holds the lock."""
    fresh = home.root / "store.new.duckdb"
    for left_over in (fresh, fresh.with_name(fresh.name + ".wal")):
        left_over.unlink(missing_ok=True)
    new = file.create(fresh)
    try:
        fill(new)
    finally:
        new.close()
    kept = None
    if home.store.exists():
        kept = home.root / f"store.{label}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}.duckdb"
        os.link(home.store, kept)
    log = home.store.with_name(home.store.name + ".wal")
    # A log left behind belongs to the old file alone: DuckDB would try to replay it into the new one.
    if log.exists() and kept is not None:
        log.rename(kept.with_name(kept.name + ".wal"))
    fresh.replace(home.store)
    return kept


def _carry_over(path: Path, new: DuckDBPyConnection) -> None:
    """Add the events and receipts of one store to another, lifting them to the present version."""
    old = file.reopen(path)
    try:
        rows = old.execute(_EVENTS)
        while batch := rows.fetchmany(_BATCH):
            lifted = [ingest.event_row(attempt, seq, json.loads(body)) for attempt, seq, body in batch]
            new.begin()
            ingest.insert(new, lifted)
            new.commit()
        ingest.sign(new, ingest.receipts(old))
    finally:
        old.close()
