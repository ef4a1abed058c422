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
INSERT INTO spell (attempt, run_id, first_at, last_at, epoch)
SELECT attempt, run_id, min(time), max(time), max(epoch) FROM measured GROUP BY attempt, run_id
"""

# A number once given stays: what is new gets the next ones.
_WORDS = """
INSERT INTO word
SELECT (SELECT coalesce(max(number), 0) FROM word) + row_number() OVER (ORDER BY run_id, split, name), *
FROM (
    (SELECT run_id, NULL AS split, NULL AS name FROM measured UNION SELECT NULL, unnest($split), unnest($name))
    EXCEPT SELECT run_id, split, name FROM word
)
"""

_NUMBERS = """
SELECT number FROM (SELECT unnest($split) AS split, unnest($name) AS name, unnest(range(len($name))) AS place)
JOIN word USING (split, name) ORDER BY place
"""

# Epochs go up in one run and down in the next: their differences then stay small, which saves two bytes a value.
_IN_ORDER = """
SELECT place, number AS run, epoch, began, seq FROM measured JOIN word USING (run_id)
ORDER BY run, CASE run % 2 WHEN 1 THEN epoch ELSE -epoch END, seq
"""

# Of a column that NumPy made, DuckDB takes NaN for a missing value.
_READING = """
INSERT INTO reading SELECT run, metric, epoch, coalesce(value, 'nan'), began, seq FROM readings
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
    # Most records have the same metrics.
    kinds = {tuple(event.metrics.values) for event in events}
    paths = sorted(set(chain.from_iterable(kinds)), key=lambda path: path.partition("/"))
    texts = {
        "split": [path.partition("/")[0] for path in paths],
        "name": [path.partition("/")[2] for path in paths],
    }
    connection.execute(_WORDS, texts)
    numbers = connection.execute(_NUMBERS, texts).fetchnumpy()["number"]
    ordered = connection.execute(_IN_ORDER).fetchnumpy()
    records = [events[place].metrics.values for place in ordered.pop("place")]
    connection.register("readings", _by_metric(ordered, records, paths, numbers))
    connection.execute(_READING)
    connection.unregister("readings")


def _by_metric(
    ordered: Mapping[str, Array], records: Sequence[Mapping[str, float]], paths: Sequence[str], numbers: Array
) -> dict[str, Array]:
    """The rows of `reading` as columns, from the records in order and the numbers of the paths that they name.

    What is alike stands together: DuckDB packs it, and a question about one metric skips the others.
    """
    kinds = list(map(tuple, records))
    place = {path: at for at, path in enumerate(paths)}
    # The fewer bytes a number has, the faster NumPy sorts it.
    dtype = np.min_scalar_type(len(paths))
    places = {kind: np.array([place[path] for path in kind], dtype=dtype) for kind in set(kinds)}
    path = np.concatenate([places[kind] for kind in kinds])
    by_path = np.argsort(path, kind="stable")
    line = np.repeat(np.arange(len(records)), [len(kind) for kind in kinds])[by_path]
    value = np.fromiter(chain.from_iterable(record.values() for record in records), np.float64, len(path))
    columns = {name: column[line] for name, column in ordered.items()}
    return {**columns, "metric": numbers[path[by_path]], "value": value[by_path]}
