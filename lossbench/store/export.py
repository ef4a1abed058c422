"""Runs as files for other programs: tables as Parquet, CSV or JSON lines, or event files for TensorBoard."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Literal

import duckdb

from lossbench.errors import StoreError, UsageError
from lossbench.eventfiles import event_file
from lossbench.home import Home
from lossbench.store.queries import RunRow
from lossbench.store.store import Store

__all__ = ["Format", "export"]

Format = Literal["parquet", "csv", "jsonl", "tensorboard"]

_EVENT_FILE = "events.out.tfevents.0.lossbench"

_VECTORS = 50
"""How many times 2048 rows are in memory at once."""

_CHOSEN = "run_id IN (SELECT unnest($runs))"

_RUN = (
    f"SELECT {', '.join(entry.name for entry in fields(RunRow))} FROM run WHERE {_CHOSEN} ORDER BY started_at, run_id"
)

_EPOCH = f"SELECT run_id, epoch, split, name, value FROM epoch WHERE {_CHOSEN} ORDER BY ALL"

_PREDICTION = f"""
SELECT run_id, split, epoch, unnest(range(len(label))) AS "row", unnest(label) AS label, unnest(predicted) AS predicted,
    unnest(rank) AS rank, unnest(p_true) AS p_true, unnest(p_max) AS p_max
FROM (
    SELECT * FROM prediction WHERE {_CHOSEN}
    QUALIFY row_number() OVER (PARTITION BY run_id, split ORDER BY epoch DESC, time DESC) = 1
)
ORDER BY run_id, split, "row"
"""

_TABLES = {"run": _RUN, "epoch": _EPOCH, "prediction": _PREDICTION}

_SCALARS = f"""
SELECT epoch, told.seconds, split || '/' || name AS tag, value
FROM epoch JOIN (
    SELECT run_id, epoch, epoch_us(max(time)) / 1e6 AS seconds FROM entry WHERE kind = 'epoch' GROUP BY run_id, epoch
) AS told USING (run_id, epoch)
WHERE {_CHOSEN} ORDER BY epoch, tag
"""

# On the way through pandas a NaN becomes NULL, which no stored value is. JSON has no word for either.
_CHANGES = {
    ("epoch", "parquet"): "* REPLACE (coalesce(value, 'nan'::DOUBLE) AS value)",
    ("epoch", "csv"): "* REPLACE (coalesce(value, 'nan'::DOUBLE) AS value)",
    ("epoch", "jsonl"): "* REPLACE (CASE WHEN isfinite(value) THEN value END AS value)",
    ("run", "csv"): "* REPLACE (array_to_string(tags, ' ') AS tags)",
}
_TIME = "TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'"
_HOW = {"parquet": "FORMAT parquet", "csv": f"FORMAT csv, HEADER, {_TIME}", "jsonl": f"FORMAT json, {_TIME}"}


def export(home: Home, runs: Sequence[RunRow], out: Path, form: Format) -> list[Path]:
    """Write these runs into a new folder and give the files.

    The tables are those of the views `run` and `epoch`, and `prediction`, one row per run and row of a split.

    Raises:
        UsageError: the folder is there already and not empty.
        StoreError: it cannot be written to.
    """
    try:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty; name a new folder")
        out.mkdir(parents=True, exist_ok=True)
        with Store.open(home) as store:
            if form == "tensorboard":
                return [_write(out / _folder(run) / _EVENT_FILE, _scalars(store, run)) for run in runs]
            for name, query in _TABLES.items():
                change = _CHANGES.get((name, form), "*")
                _write_table(store, query, [run.run_id for run in runs], change, out / f"{name}.{form}", _HOW[form])
    except OSError as error:
        raise StoreError(f"cannot write to {out}: {error.strerror}") from error
    return [out / f"{name}.{form}" for name in _TABLES]


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


def _scalars(store: Store, run: RunRow) -> bytes:
    rows = store.rows(_SCALARS, {"runs": [run.run_id]})
    epochs = [(epoch, list(told)) for epoch, told in groupby(rows, key=lambda row: row[0])]
    return event_file((epoch, told[-1][1], {tag: value for *_, tag, value in told}) for epoch, told in epochs)


def _folder(run: RunRow) -> str:
    """What TensorBoard calls the run; whatever the names hold, one folder and no way out of it."""
    name = f"{run.preset}_{run.loss}_seed{run.seed}_{run.run_id}"
    return re.sub(r"^[.-]+", "", re.sub(r"[^A-Za-z0-9_.=+,-]+", "-", name))[:200]


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir()
    path.write_bytes(content)
    return path


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
