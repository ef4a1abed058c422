"""Adding the events of one store to another. Journal and number name an event for ever, so none is added twice."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from lossbench.errors import StoreBusy, StoreError
from lossbench.home import Home
from lossbench.journal import Line, scan
from lossbench.store import file, ingest
from lossbench.store.upcast import NewerEventError

__all__ = ["Merged", "carry_over", "import_store"]

_BATCH = 20_000

_EVENTS = "SELECT attempt, seq, body FROM event ORDER BY attempt, seq"

_KNOWN = "SELECT attempt, seq FROM entry WHERE attempt IN (SELECT unnest($attempts))"


@dataclass(frozen=True, slots=True)
class Merged:
    """How many events were added, how many were there already, and what else is to be said."""

    added: int
    known: int
    notes: list[str]


def import_store(home: Home, source: Path, *, wait: float = 30.0) -> Merged:
    """Add the runs of another home, or of a copied store file, to the store of this one.

    Raises:
        StoreBusy: another process holds one of the two.
        StoreError: the source is no store, is damaged or newer, or this one cannot be written.
    """
    other = Home(source) if source.is_dir() else None
    path = source if other is None else other.store
    lines = other is not None and bool(ingest.pending(other, {}))
    if not path.exists() and not lines:
        raise StoreError(f"there is no store at {path}")
    if home.store.exists() and path.exists() and path.samefile(home.store):
        raise StoreError(f"{path} is the store of this home itself")
    home.create()
    with file.locked(home, wait=wait):
        if not home.store.exists():
            file.create(home.store)
        with contextlib.closing(_writable(home)) as connection, file.troubles(home.store):
            ingest.take_in(connection, home)
            merged = carry_over(path, connection) if path.exists() else Merged(0, 0, [])
            if other is not None:
                beyond = _add(connection, _told(other, ingest.receipts(connection)))
                merged = Merged(merged.added + beyond.added, merged.known + beyond.known, merged.notes + beyond.notes)
    return merged


def carry_over(path: Path, connection: DuckDBPyConnection) -> Merged:
    """Add the events and receipts of the store at a path, of this schema or an earlier one, to an open one.

    Raises:
        StoreError: it cannot be read, or was written by a newer lossbench.
    """
    with contextlib.closing(file.connect_to_any(path)) as old:
        merged = _add(connection, _stored(old, path))
        with _readable(path):
            receipts = ingest.receipts(old)
    mine = ingest.receipts(connection)
    connection.begin()
    ingest.sign(connection, {name: receipt for name, receipt in receipts.items() if name not in mine})
    connection.commit()
    return merged


def _writable(home: Home) -> DuckDBPyConnection:
    try:
        return file.connect(home.store, read_only=False)
    except file.OlderSchemaError as older:
        raise StoreBusy(
            f"{home.store} has an earlier schema; any reading command brings it up to date first"
        ) from older


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever the tables of somebody else's file turn out to be, it is a refusal in one line."""
    try:
        with file.troubles(path):
            yield
    except duckdb.Error as error:
        raise StoreError(f"{path} has not the tables of a store: {str(error).splitlines()[0]}") from error


def _stored(old: DuckDBPyConnection, path: Path) -> Iterator[tuple[str, int, Any]]:
    with _readable(path):
        rows = old.execute(_EVENTS)
        batch = rows.fetchmany(_BATCH)
    while batch:
        yield from batch
        with _readable(path):
            batch = rows.fetchmany(_BATCH)


def _told(home: Home, taken: dict[str, ingest.Receipt]) -> Iterator[tuple[str, int, Any]]:
    for path in ingest.pending(home, taken):
        for line in scan(path):
            if isinstance(line, Line):
                yield line.attempt, line.seq, line.body


def _add(connection: DuckDBPyConnection, events: Iterable[tuple[str, int, Any]]) -> Merged:
    added = known = damaged = 0
    notes: list[str] = []
    source = iter(events)
    while batch := list(islice(source, _BATCH)):
        attempts = list({attempt for attempt, _, _ in batch})
        have = set(connection.execute(_KNOWN, {"attempts": attempts}).fetchall())
        fresh: dict[tuple[str, int], ingest.EventRow] = {}
        for attempt, seq, body in batch:
            if (attempt, seq) in have or (attempt, seq) in fresh:
                known += 1
                continue
            try:
                plain = json.loads(body) if isinstance(body, str) else body
                fresh[attempt, seq] = ingest.event_row(attempt, seq, plain)
            except NewerEventError as newer:
                raise StoreError(f"the store holds events of version {newer}, from a newer lossbench") from newer
            except (ValueError, TypeError, AttributeError, RecursionError):
                damaged += 1
        connection.begin()
        ingest.insert(connection, list(fresh.values()))
        connection.commit()
        added += len(fresh)
    if damaged:
        notes.append(f"{damaged} record(s) that are no events were left out")
    return Merged(added, known, notes)
