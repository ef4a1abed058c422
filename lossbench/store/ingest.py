"""Taking journals into the store: the rows and the receipt for them in one transaction, so that nothing counts twice.

Every table is made from checked events by the statements here and, what is told of epochs, in `epochs`; a rebuild runs
the same ones.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from lossbench.errors import StoreError
from lossbench.events import EpochDone, Event, PredictionsKept, from_json, moment
from lossbench.home import Home
from lossbench.journal import Damaged, Line, scan, sizes
from lossbench.store.epochs import insert_epochs
from lossbench.store.upcast import NewerEventError, upcast

__all__ = ["FINAL", "EventRow", "Receipt", "event_row", "finals", "insert", "pending", "receipts", "sign", "take_in"]

_BATCH = 20_000

_OF_AN_EPOCH = {"v", "kind", "run_id", "at", "epoch", "metrics", "attempt", "seq"}

FINAL = -2
"""The size in a further receipt of a journal that is whole in the store and that nothing will be added to."""

_RECEIPTS = "SELECT attempt, max(bytes), max(seq), max(size) FROM ingested GROUP BY attempt HAVING min(size) > $beyond"

_FINAL = "SELECT DISTINCT attempt FROM ingested WHERE size = $final"

_SIGN = "INSERT INTO ingested SELECT unnest($attempt), unnest($bytes), unnest($seq), unnest($size)"

_INCOMING = """
CREATE OR REPLACE TEMP TABLE incoming AS
SELECT unnest($attempt) AS attempt, unnest($seq) AS seq, unnest($time)::TIMESTAMP AS time, unnest($body)::JSON AS body
"""

_DERIVED = (
    """
    INSERT INTO started
    SELECT attempt, seq, body->>'$.run_id', time, body->>'$.key', body->>'$.recipe',
        body->>'$.spec.preset.name', body->>'$.spec.loss.text', (body->>'$.spec.seed')::BIGINT,
        (body->>'$.spec.preset.epochs')::INTEGER, (body->>'$.from_epoch')::INTEGER,
        body->'$.spec', body->'$.provenance'
    FROM incoming WHERE body->>'$.kind' = 'started'
    """,
    """
    INSERT INTO spell
    SELECT attempt, body->>'$.run_id', time, time, NULL, seq, body->>'$.status', body->>'$.reason'
    FROM incoming WHERE body->>'$.kind' = 'ended'
    """,
    """
    INSERT INTO spell (attempt, run_id, first_at, last_at, epoch)
    SELECT attempt, body->>'$.run_id' AS run_id, min(time), max(time), max((body->>'$.epoch')::INTEGER)
    FROM incoming WHERE body->>'$.kind' <> 'marked' GROUP BY attempt, run_id
    """,
    """
    INSERT INTO entry
    SELECT attempt, seq, body->>'$.run_id', body->>'$.kind' AS kind, (body->>'$.v')::INTEGER,
        (body->>'$.epoch')::INTEGER, time, NULL, NULL, CASE WHEN kind <> 'started' THEN body END
    FROM incoming
    """,
    """
    INSERT INTO mark
    SELECT run_id, field, value, time, seq
    FROM (
        SELECT body->>'$.run_id' AS run_id, time, seq,
            unnest(json_keys(body, '$.marks')) AS field, unnest(body->>'$.marks.*') AS value
        FROM incoming WHERE body->>'$.kind' = 'marked'
    )
    """,
)

_PREDICTION = "INSERT INTO prediction VALUES (?, ?, ?, ?::TIMESTAMP, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class EventRow:
    """One checked event on its way into the tables."""

    attempt: str
    seq: int
    time: str
    event: Event
    body: str
    """The event as JSON; of an epoch no text is kept, and it may be empty."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """How much of a journal is in the store; `size` is the whole file's when last read to the end, -1 when not."""

    bytes: int = 0
    seq: int = -1
    size: int = -1


def receipts(connection: DuckDBPyConnection, *, final: bool = True) -> dict[str, Receipt]:
    """What the store has of each journal, or of each that is not final."""
    found = connection.execute(_RECEIPTS, {"beyond": FINAL - final})
    return {attempt: Receipt(*row) for attempt, *row in found.fetchall()}


def finals(connection: DuckDBPyConnection) -> frozenset[str]:
    """The journals that nobody has to ask any more how long they are: of many thousand runs few are under way."""
    return frozenset(connection.execute(_FINAL, {"final": FINAL}).fetchnumpy()["attempt"].tolist())


def pending(home: Home, taken: Mapping[str, Receipt], final: Collection[str] = frozenset()) -> dict[Path, int]:
    """The journals that have changed since the store last looked, and their sizes."""
    found = sorted(sizes(home, but=final).items())
    return {
        home.journals / f"{attempt}.jsonl": size
        for attempt, size in found
        if size != taken.get(attempt, Receipt()).size
    }


def take_in(connection: DuckDBPyConnection, home: Home, taken: Mapping[str, Receipt] | None = None) -> list[str]:
    """Add what the journals of a home say beyond their receipts; what is no event is left out, and said."""
    final = finals(connection) if taken is None else frozenset()
    taken = receipts(connection, final=False) if taken is None else taken
    notes: list[str] = []
    batch: list[EventRow] = []
    signed: dict[str, Receipt] = {}
    for path, size in pending(home, taken, final).items():
        before = receipt = taken.get(path.stem, Receipt())
        damaged = 0
        try:
            for line in scan(path, receipt.bytes):
                row = _checked(line, receipt.seq)
                if row is None:
                    damaged += 1
                else:
                    batch.append(row)
                receipt = Receipt(line.end, receipt.seq if row is None else row.seq)
                if len(batch) >= _BATCH:
                    _commit(connection, batch, signed | {path.stem: receipt})
                    batch, signed = [], {}
            receipt = Receipt(receipt.bytes, receipt.seq, size)
        except NewerEventError as newer:
            notes.append(f"journal {path} holds events of version {newer}, from a newer lossbench; they wait for it")
        except StoreError as error:
            notes.append(str(error))
        if receipt != before:
            signed[path.stem] = receipt
        if damaged:
            notes.append(f"journal {path} holds {damaged} line(s) that are no events; they are left out")
    _commit(connection, batch, signed)
    return notes


def insert(connection: DuckDBPyConnection, rows: Sequence[EventRow]) -> None:
    """Add events and everything made from them; the caller holds the transaction."""
    others = [row for row in rows if not isinstance(row.event, EpochDone)]
    if others:
        columns = {name: [getattr(row, name) for row in others] for name in ("attempt", "seq", "time", "body")}
        connection.execute(_INCOMING, columns)
        for statement in _DERIVED:
            connection.execute(statement)
    insert_epochs(
        connection, [(row.attempt, row.seq, row.time, row.event) for row in rows if isinstance(row.event, EpochDone)]
    )
    for row in others:
        if isinstance(kept := row.event, PredictionsKept):
            lists = (kept.label, kept.predicted, kept.rank, kept.p_true, kept.p_max)
            connection.execute(_PREDICTION, [kept.run_id, kept.epoch, kept.split, row.time, *map(list, lists)])


def sign(connection: DuckDBPyConnection, signed: Mapping[str, Receipt]) -> None:
    """Add receipts; the caller holds the transaction."""
    columns = {name: [getattr(receipt, name) for receipt in signed.values()] for name in ("bytes", "seq", "size")}
    connection.execute(_SIGN, {"attempt": list(signed), **columns})


def event_row(attempt: str, seq: int, body: dict[str, Any]) -> EventRow:
    """Lift an event to the present version and check it.

    Raises:
        NewerEventError: it was written by a later lossbench.
        ValueError: it is no event.
    """
    body = upcast(body)
    event = from_json(body)
    time = moment(event.at).replace(tzinfo=None).isoformat(sep=" ")
    if not 0 <= seq < 2**63:
        raise ValueError("an event with a number out of range")
    # Making a text of every epoch takes as long as reading it; what it says beyond itself must still be sound.
    numbers_only = isinstance(event, EpochDone) and body.keys() <= _OF_AN_EPOCH
    return EventRow(attempt, seq, time, event, "" if numbers_only else _text(body))


def _text(body: dict[str, Any]) -> str:
    """Written anew, so that DuckDB's reader of JSON never sees a text that only Python's accepts."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if "\\u0000" in text:
        raise ValueError("an event with a NUL character")
    text.encode()
    return text


def _checked(line: Line | Damaged, after: int) -> EventRow | None:
    if isinstance(line, Damaged) or line.seq <= after:
        return None
    try:
        return event_row(line.attempt, line.seq, line.body)
    except (ValueError, RecursionError):
        return None


def _commit(connection: DuckDBPyConnection, batch: Sequence[EventRow], signed: Mapping[str, Receipt]) -> None:
    if not signed:
        return
    # Should this fail, closing the connection takes the transaction back.
    connection.begin()
    insert(connection, batch)
    sign(connection, signed)
    connection.commit()
