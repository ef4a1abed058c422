"""Taking journals into the store: the rows and the receipt for them in one transaction, so that nothing counts twice.

Every table is made from the events' dictionaries by the statements here; a rebuild runs the same ones.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from lossbench.errors import StoreError
from lossbench.events import PredictionsKept, from_json, moment
from lossbench.home import Home
from lossbench.journal import Damaged, Line, scan, sizes
from lossbench.store.upcast import NewerEventError, upcast

__all__ = ["EventRow", "Receipt", "event_row", "insert", "pending", "receipts", "sign", "take_in"]

_BATCH = 20_000

_RECEIPTS = "SELECT attempt, max(bytes), max(seq), max(size) FROM ingested GROUP BY attempt"

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
    INSERT INTO ended
    SELECT attempt, seq, body->>'$.run_id', time, body->>'$.status', body->>'$.reason'
    FROM incoming WHERE body->>'$.kind' = 'ended'
    """,
    """
    INSERT INTO spell
    SELECT attempt, body->>'$.run_id' AS run_id, min(time), max(time), max((body->>'$.epoch')::INTEGER)
    FROM incoming WHERE body->>'$.kind' <> 'marked' GROUP BY attempt, run_id
    """,
    """
    CREATE OR REPLACE TEMP TABLE measured AS
    SELECT told.*, coalesce(started.time, told.time) AS began
    FROM (
        SELECT attempt, seq, time,
            unnest(from_json(body, '{"run_id":"VARCHAR","epoch":"INTEGER","metrics":"MAP(VARCHAR,DOUBLE)"}'))
        FROM incoming WHERE body->>'$.kind' = 'epoch'
    ) AS told
    ASOF LEFT JOIN started
    ON told.attempt = started.attempt AND told.run_id = started.run_id AND told.seq >= started.seq
    """,
    """
    INSERT INTO entry
    SELECT incoming.attempt, incoming.seq, body->>'$.run_id', body->>'$.kind' AS kind, (body->>'$.v')::INTEGER,
        (body->>'$.epoch')::INTEGER, incoming.time, began, cardinality(metrics),
        CASE WHEN kind NOT IN ('epoch', 'started') THEN body END
    FROM incoming LEFT JOIN measured USING (attempt, seq)
    """,
    """
    INSERT INTO metric
    SELECT run_id, epoch, split_part(path, '/', 1) AS split, substr(path, 1 + instr(path, '/')) AS name, value, began,
        seq
    FROM (
        SELECT run_id, epoch, seq, began, unnest(map_keys(metrics)) AS path, unnest(map_values(metrics)) AS value,
            dense_rank() OVER (ORDER BY run_id) % 2 AS upwards
        FROM measured
    )
    -- What is alike stands together: DuckDB packs it, and a question about one metric skips the others.
    -- Epochs go up in one run and down in the next: their differences then stay small, which saves two bytes a value.
    ORDER BY split, name, run_id, CASE upwards WHEN 1 THEN epoch ELSE -epoch END, seq
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
    body: str
    predictions: PredictionsKept | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """How much of a journal is in the store; `size` is the whole file's when last read to the end, -1 when not."""

    bytes: int = 0
    seq: int = -1
    size: int = -1


def receipts(connection: DuckDBPyConnection) -> dict[str, Receipt]:
    """What the store has of each journal."""
    return {attempt: Receipt(*row) for attempt, *row in connection.execute(_RECEIPTS).fetchall()}


def pending(home: Home, taken: Mapping[str, Receipt]) -> dict[Path, int]:
    """The journals that have changed since the store last looked, and their sizes."""
    found = sorted(sizes(home).items())
    return {
        home.journals / f"{attempt}.jsonl": size
        for attempt, size in found
        if size != taken.get(attempt, Receipt()).size
    }


def take_in(connection: DuckDBPyConnection, home: Home, taken: Mapping[str, Receipt] | None = None) -> list[str]:
    """Add what the journals of a home say beyond their receipts; what is no event is left out, and said."""
    taken = receipts(connection) if taken is None else taken
    notes: list[str] = []
    batch: list[EventRow] = []
    signed: dict[str, Receipt] = {}
    for path, size in pending(home, taken).items():
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
    if not rows:
        return
    columns = {name: [getattr(row, name) for row in rows] for name in ("attempt", "seq", "time", "body")}
    connection.execute(_INCOMING, columns)
    for statement in _DERIVED:
        connection.execute(statement)
    for row in rows:
        if (kept := row.predictions) is not None:
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
    # Written anew, so that DuckDB's reader of JSON never sees a text that only Python's accepts.
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if "\\u0000" in text or not 0 <= seq < 2**63:
        raise ValueError("an event with a NUL character, or a number out of range")
    text.encode()
    return EventRow(attempt, seq, time, text, event if isinstance(event, PredictionsKept) else None)


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
