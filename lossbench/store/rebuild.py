"""Writing the store anew from its own events: how an earlier schema is left behind and a damaged file replaced.

The old file stays in its place until the new one is complete, and is kept beside it afterwards.
"""

import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from duckdb import DuckDBPyConnection

from lossbench.errors import StoreBusy, StoreError
from lossbench.home import Home
from lossbench.store import file, ingest, merge

__all__ = ["rebuild", "replace", "upgrade"]


def upgrade(home: Home, *, wait: float) -> list[str]:
    """Bring a store of an earlier schema to the present one; says where the earlier file is kept.

    Raises:
        StoreError: the earlier file cannot be read, or the new one not written.
    """
    notes: list[str] = []
    with file.locked(home, wait=wait):
        try:
            file.connect(home.store, read_only=True).close()
        except file.OlderSchemaError as older:
            kept = replace(home, f"schema-{older}", lambda new: notes.extend(merge.carry_over(home.store, new).notes))
            return [f"the store had an earlier schema and was rebuilt; the earlier file is kept as {kept}", *notes]
    return []


def rebuild(home: Home, *, wait: float = 30.0) -> list[str]:
    """Write the store anew from its events and the journals, or from the journals alone when it cannot be read.

    Raises:
        StoreBusy: another process holds the store.
        StoreError: it was written by a newer lossbench, or the new one cannot be written.
    """
    notes: list[str] = []

    def fill(new: DuckDBPyConnection) -> None:
        if home.store.exists():
            try:
                notes.extend(merge.carry_over(home.store, new).notes)
            except (StoreBusy, file.NewerSchemaError):
                raise
            except StoreError as error:
                notes.append(f"{error.args[0].partition(';')[0]}; taken from the journals alone")
        notes.extend(ingest.take_in(new, home))

    with file.locked(home, wait=wait):
        kept = replace(home, "before-rebuild", fill)
    return [*notes, *([f"the earlier file is kept as {kept}"] if kept else [])]


def replace(home: Home, label: str, fill: Callable[[DuckDBPyConnection], None]) -> Path | None:
    """Put a new store in the place of the present one, which is kept under a label; the caller holds the lock."""
    if home.store.exists():
        with contextlib.suppress(StoreError):
            file.fold(home.store)
    fresh = home.root / "store.fresh.duckdb"
    file.create(fresh)
    with contextlib.closing(file.connect(fresh, read_only=False)) as new, file.troubles(fresh):
        fill(new)
    kept = None
    if home.store.exists():
        kept = home.root / f"store.{label}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}.duckdb"
        os.link(home.store, kept)
        # A log that could not be folded in belongs to the old file: DuckDB would try to replay it into the new one.
        if file.log_of(home.store).exists():
            file.log_of(home.store).rename(file.log_of(kept))
    fresh.replace(home.store)
    return kept
