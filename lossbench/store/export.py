"""Runs as files for other programs: tables as Parquet, CSV or JSON lines, or event files for TensorBoard."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import duckdb

from lossbench.errors import StoreError, UsageError
from lossbench.eventfiles import event_file
from lossbench.store.queries import RunRow
from lossbench.store.store import Store

__all__ = ["Format", "export"]

Format = Literal["parquet", "csv", "jsonl", "tensorboard"]

_VECTORS = 50
"""How many times 2048 rows are in memory at once."""

_CHOSEN = "run_id IN (SELECT unnest($runs))"

_RUNS = (
    f"SELECT {', '.join(entry.name for entry in fields(RunRow))} FROM run WHERE {_CHOSEN} ORDER BY started_at, run_id"
)

_EPOCHS = f"SELECT run_id, epoch, split, name, value FROM epoch WHERE {_CHOSEN} ORDER BY ALL"

_PREDICTIONS = f"""
SELECT run_id, split, epoch, label, predicted, rank, p_true, p_max FROM prediction WHERE {_CHOSEN}
QUALIFY row_number() OVER (PARTITION BY run_id, split ORDER BY epoch DESC, time DESC) = 1 ORDER BY run_id, split
"""

_SCALARS = f"""
SELECT run_id, epoch, epoch_us(max(time)) / 1e6 AS seconds, split || '/' || name AS tag, arg_max(value, time)
FROM metric WHERE {_CHOSEN} GROUP BY run_id, epoch, split, name
ORDER BY run_id, epoch, tag
"""

# On the way through pandas a NaN becomes NULL, which no stored value is. JSON has no word for either.
_CHANGES = {
    ("epochs", "parquet"): "* REPLACE (coalesce(value, 'nan'::DOUBLE) AS value)",
    ("epochs", "csv"): "* REPLACE (coalesce(value, 'nan'::DOUBLE) AS value)",
    ("epochs", "jsonl"): "* REPLACE (CASE WHEN isfinite(value) THEN value END AS value)",
    ("runs", "csv"): "* REPLACE (array_to_string(tags, ' ') AS tags)",
}
_TIME = "TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'"
_HOW = {"parquet": "FORMAT parquet", "csv": f"FORMAT csv, HEADER, {_TIME}", "jsonl": f"FORMAT json, {_TIME}"}


def export(store: Store, run_ids: list[str], folder: Path, format: Format) -> list[Path]:
    """Write these runs into a folder and give the files.

    The tables are `runs`, one row per run, `epochs`, one row per run, epoch and metric, and, where rows may hold lists,
    `predictions`.

    Raises:
        UsageError: a file is there already.
        StoreError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if format == "tensorboard":
            return [_write(path, content) for path, content in _event_files(store, run_ids, folder)]
        queries = {"runs": _RUNS, "epochs": _EPOCHS} | ({} if format == "csv" else {"predictions": _PREDICTIONS})
        paths = {name: folder / f"{name}.{format}" for name in queries}
        for path in paths.values():
            _refuse_existing(path)
        for name, path in paths.items():
            _write_table(store, queries[name], run_ids, _CHANGES.get((name, format), "*"), path, _HOW[format])
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error
    return list(paths.values())


def _write_table(store: Store, query: str, run_ids: list[str], change: str, path: Path, how: str) -> None:
    draft = path.with_name(path.name + ".tmp")
    try:
        with contextlib.closing(duckdb.connect(":memory:")) as outside:
            # The store's own connection reaches no files.
            result = store.connection.execute(query, {"runs": run_ids})
            chunk = result.fetch_df_chunk(_VECTORS)
            types = ", ".join(f'"{column[0]}" {column[1]}' for column in result.description or ())
            outside.execute(f"CREATE TABLE rows ({types})")
            while len(chunk):
                outside.execute("INSERT INTO rows FROM chunk")
                chunk = result.fetch_df_chunk(_VECTORS)
            outside.execute(f"COPY (SELECT {change} FROM rows) TO '{_quoted(draft)}' ({how})")
        draft.replace(path)
    except duckdb.Error as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {str(error).splitlines()[0]}") from error


def _event_files(store: Store, run_ids: list[str], folder: Path) -> Iterator[tuple[Path, bytes]]:
    found = store.rows(_SCALARS, {"runs": run_ids})
    for run_id, rows in groupby(found, key=lambda row: row[0]):
        # The name of a folder; a store made by others may hold anything in its place.
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", run_id):
            raise StoreError(f"{run_id!r} is no run id; the store was not written by lossbench")
        yield folder / run_id / "events.out.tfevents.0.lossbench", event_file(_by_epoch(rows))


def _by_epoch(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[int, float, dict[str, float]]]:
    for epoch, told in groupby(rows, key=lambda row: row[1]):
        lines = list(told)
        yield epoch, lines[-1][2], {tag: value for *_, tag, value in lines}


def _write(path: Path, content: bytes) -> Path:
    _refuse_existing(path)
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(content)
    return draft.replace(path)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} exists already; name another folder")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
