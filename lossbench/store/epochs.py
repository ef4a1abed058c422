"""Epochs on their way into the tables: as columns of numbers, which no text needs to be made of and read again."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from lossbench.events import EVENT_VERSION, EpochDone

__all__ = ["EpochRow", "insert_epochs"]

Array = NDArray[Any]

EpochRow = tuple[str, int, str, EpochDone]
"""Journal, number there, UTC time as DuckDB reads it, and what was said."""

_MEASURED = """
CREATE OR REPLACE TEMP TABLE measured AS
SELECT told.*, coalesce(started.time, told.time) AS began
FROM (
    SELECT unnest($attempt) AS attempt, unnest($seq) AS seq, unnest($time)::TIMESTAMP AS time,
        unnest($run_id) AS run_id, unnest($epoch)::INTEGER AS epoch, unnest($metrics)::INTEGER AS metrics,
        unnest(range(len($seq))) AS place
) AS told
ASOF LEFT JOIN started
ON told.attempt = started.attempt AND told.run_id = started.run_id AND told.seq >= started.seq
"""

_ENTRY = """
INSERT INTO entry
SELECT attempt, seq, run_id, 'epoch', $version, epoch, time, began, metrics, NULL FROM measured
"""

_SPELL = """
INSERT INTO spell
SELECT attempt, run_id, min(time), max(time), max(epoch) FROM measured GROUP BY attempt, run_id
"""

# Epochs go up in one run and down in the next: their differences then stay small, which saves two bytes a value.
_IN_ORDER = """
SELECT place, epoch, began, seq
FROM (SELECT *, dense_rank() OVER (ORDER BY run_id) % 2 AS upwards FROM measured)
ORDER BY run_id, CASE upwards WHEN 1 THEN epoch ELSE -epoch END, seq
"""

# Of a column that NumPy made, DuckDB takes NaN for a missing value.
_METRIC = """
INSERT INTO metric
SELECT $run_id[line], epoch, $split[path], $name[path], coalesce(value, 'nan'), began, seq FROM numbers
"""


def insert_epochs(connection: DuckDBPyConnection, rows: Sequence[EpochRow]) -> None:
    """Add checked epochs; the starts of their runs are in the tables already, and the caller holds the transaction."""
    if not rows:
        return
    attempts, seqs, times, events = map(list, zip(*rows, strict=True))
    columns = {
        "attempt": attempts,
        "seq": seqs,
        "time": times,
        "run_id": [event.run_id for event in events],
        "epoch": [event.metrics.epoch for event in events],
        "metrics": [len(event.metrics.values) for event in events],
    }
    connection.execute(_MEASURED, columns)
    connection.execute(_ENTRY, {"version": EVENT_VERSION})
    connection.execute(_SPELL)
    ordered = connection.execute(_IN_ORDER).fetchnumpy()
    events = [events[place] for place in ordered.pop("place")]
    numbers, paths = _by_metric(ordered, [event.metrics.values for event in events])
    texts = {
        "run_id": [event.run_id for event in events],
        "split": [path.partition("/")[0] for path in paths],
        "name": [path.partition("/")[2] for path in paths],
    }
    connection.register("numbers", numbers)
    connection.execute(_METRIC, texts)
    connection.unregister("numbers")


def _by_metric(
    ordered: Mapping[str, Array], records: Sequence[Mapping[str, float]]
) -> tuple[dict[str, Array], list[str]]:
    """The rows of `metric` as columns, and the paths they name by their places, which count from 1 as in SQL.

    What is alike stands together: DuckDB packs it, and a question about one metric skips the others.
    """
    # Most records have the same metrics.
    kinds = list(map(tuple, records))
    paths = sorted(set(chain.from_iterable(set(kinds))), key=lambda path: path.partition("/"))
    place = {path: at for at, path in enumerate(paths, 1)}
    # The fewer bytes a number has, the faster NumPy sorts it.
    dtype = np.min_scalar_type(len(paths))
    places = {kind: np.array([place[path] for path in kind], dtype=dtype) for kind in set(kinds)}
    path = np.concatenate([places[kind] for kind in kinds])
    by_path = np.argsort(path, kind="stable")
    line = np.repeat(np.arange(len(records)), [len(kind) for kind in kinds])[by_path]
    value = np.fromiter(chain.from_iterable(record.values() for record in records), np.float64, len(path))
    columns = {name: column[line] for name, column in ordered.items()}
    return {**columns, "path": path[by_path], "line": line + 1, "value": value[by_path]}, paths
