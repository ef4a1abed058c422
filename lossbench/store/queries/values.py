"""Questions about numbers: what a metric came to, how it went from epoch to epoch, what was predicted."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lossbench.errors import UsageError
from lossbench.measures import MEASURES
from lossbench.store.queries.runs import chosen
from lossbench.store.selection import Selection
from lossbench.store.store import Store

__all__ = [
    "Curve",
    "EpochRule",
    "Final",
    "Predictions",
    "StoredMetric",
    "curves",
    "finals",
    "metrics",
    "parse_at",
    "prediction_epochs",
    "predictions",
]


@dataclass(frozen=True, slots=True)
class EpochRule:
    """At which epochs a metric is read; `first` and `last` belong to `mean`, both included."""

    kind: Literal["last", "mean", "best-val", "best-test"]
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Final:
    """What a metric came to in one run.

    `epoch` is the epoch read, the last one of a mean; `epochs` counts those that were stored of the ones asked for.
    """

    run_id: str
    value: float | None
    epoch: int | None
    epochs: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric of one run over its epochs [E], in order."""

    run_id: str
    epochs: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StoredMetric:
    """A metric and in how many runs it occurs."""

    split: str
    name: str
    runs: int


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the model of one run said of each row of a split [D]; `rank` is 0 where the true class came first."""

    epoch: int
    label: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    p_true: npt.NDArray[np.float64]
    p_max: npt.NDArray[np.float64]


# The views `epoch` and `final`, but for the chosen runs alone and filtered before anything is grouped.
_CHOSEN = "WITH chosen AS (SELECT run_id, started_at FROM run WHERE {condition})"

_LAST = f"""
{_CHOSEN}, recorded AS (
    SELECT run_id, arg_max(value, row(epoch, began)) AS value, max(epoch) AS epoch
    FROM metric JOIN chosen USING (run_id) WHERE split = $split AND name = $metric GROUP BY run_id
)
SELECT run_id, value, epoch, 1 FROM recorded JOIN chosen USING (run_id) ORDER BY started_at, run_id
"""

_MEAN = f"""
{_CHOSEN}, recorded AS (
    SELECT run_id, epoch, arg_max(value, began) AS value
    FROM metric JOIN chosen USING (run_id)
    WHERE split = $split AND name = $metric AND epoch BETWEEN $first AND $last GROUP BY run_id, epoch
)
SELECT run_id, CASE WHEN count(*) = $last - $first + 1 THEN avg(value) END, max(epoch), count(*)
FROM recorded JOIN chosen USING (run_id) GROUP BY run_id, started_at ORDER BY started_at, run_id
"""

# NaN is the largest number to DuckDB, so an epoch is picked among finite scores only.
_BEST = f"""
{_CHOSEN}, recorded AS (
    SELECT run_id, epoch,
        arg_max(value, began) FILTER (split = $split) AS value,
        $sign * arg_max(value, began) FILTER (split = $judge) AS score
    FROM metric JOIN chosen USING (run_id) WHERE name = $metric AND split IN ($split, $judge) GROUP BY run_id, epoch
), picked AS (
    SELECT run_id,
        arg_max(value, row(score, -epoch)) AS value, arg_max(epoch, row(score, -epoch)) AS epoch
    FROM recorded WHERE isfinite(score) AND value IS NOT NULL GROUP BY run_id
)
SELECT run_id, value, epoch, 1 FROM picked JOIN chosen USING (run_id) ORDER BY started_at, run_id
"""

# As recorded: epochs lie in order but for those of resumed runs, and to order them all here takes as long again.
_CURVES = f"""
{_CHOSEN}
SELECT run_id, list(epoch::BIGINT) AS epochs, list(value) AS numbers, list(began) AS began
FROM metric JOIN chosen USING (run_id) WHERE split = $split AND name = $metric
GROUP BY run_id, started_at ORDER BY started_at, run_id
"""

# What a run stores it stores in every epoch, so its last one tells.
_METRICS = """
WITH chosen AS (SELECT run_id, epoch FROM run WHERE {condition})
SELECT split, metric.name, count(DISTINCT run_id)
FROM metric JOIN chosen USING (run_id, epoch) GROUP BY ALL ORDER BY ALL
"""

_PREDICTIONS = """
SELECT run_id, epoch, label, predicted, rank, p_true, p_max
FROM prediction
WHERE split = $split AND ($epoch IS NULL OR epoch = $epoch) AND run_id IN (SELECT run_id FROM run WHERE {condition})
QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY epoch DESC, time DESC) = 1
"""


_PREDICTION_EPOCHS = """
SELECT run_id, list(DISTINCT epoch ORDER BY epoch)
FROM prediction WHERE split = $split AND run_id IN (SELECT run_id FROM run WHERE {condition}) GROUP BY run_id
"""


def parse_at(text: str) -> EpochRule:
    """Read `last`, `mean:A-B`, `best-val` or `best-test`.

    Raises:
        UsageError: it is none of them, or the window is empty.
    """
    match text:
        case "last" | "best-val" | "best-test":
            return EpochRule(text)
    window = re.fullmatch(r"mean:(\d{1,9})-(\d{1,9})", text)
    if window is None or not 1 <= int(window[1]) <= int(window[2]):
        raise UsageError(f"epoch rule {text!r}: write last, best-val, best-test or mean:A-B, such as mean:190-200")
    return EpochRule("mean", int(window[1]), int(window[2]))


def finals(store: Store, selection: Selection, metric: str, split: str = "test", at: str = "last") -> list[Final]:
    """What a metric came to in each selected run that has it, in the order the runs began.

    Raises:
        UsageError: the selection or the rule is wrong, or no direction of the metric is better.
    """
    rule = parse_at(at)
    condition, values = chosen(store, selection)
    values |= {"split": split, "metric": metric}
    match rule.kind:
        case "last":
            statement = _LAST
        case "mean":
            statement, values = _MEAN, values | {"first": rule.first, "last": rule.last}
        case "best-val" | "best-test":
            known = MEASURES.get(metric)
            if known is None or known.better == "neither":
                raise UsageError(f"{at} needs a metric with a better side; {metric!r} has none")
            statement, values = _BEST, values | {"judge": rule.kind.removeprefix("best-"), "sign": known.sign}
    return [Final(*row) for row in store.rows(statement.format(condition=condition), values)]


def curves(store: Store, selection: Selection, metric: str, split: str = "test") -> list[Curve]:
    """A metric from epoch to epoch in each selected run that has it, in the order the runs began.

    Raises:
        UsageError: the selection is wrong.
    """
    condition, values = chosen(store, selection)
    statement = _CURVES.format(condition=condition)
    columns: dict[str, Any] = store.arrays(statement, values | {"split": split, "metric": metric})
    names = ("run_id", "epochs", "numbers", "began")
    return [_curve(*row) for row in zip(*(columns[name] for name in names), strict=True)]


def metrics(store: Store, selection: Selection | None = None) -> list[StoredMetric]:
    """Every stored metric of the selected runs.

    Raises:
        UsageError: the selection is wrong.
    """
    condition, values = chosen(store, selection or Selection())
    return [StoredMetric(*row) for row in store.rows(_METRICS.format(condition=condition), values)]


def predictions(
    store: Store, selection: Selection, split: str = "test", epoch: int | None = None
) -> dict[str, Predictions]:
    """The predictions after an epoch, else the latest, of each selected run that kept any, by run id.

    Raises:
        UsageError: the selection is wrong.
    """
    condition, values = chosen(store, selection)
    found = store.arrays(_PREDICTIONS.format(condition=condition), values | {"split": split, "epoch": epoch})
    return {str(found["run_id"][i]): _predictions(found, i) for i in range(len(found["run_id"]))}


def prediction_epochs(store: Store, selection: Selection, split: str = "test") -> dict[str, list[int]]:
    """After which epochs each selected run kept predictions, by run id.

    Raises:
        UsageError: the selection is wrong.
    """
    condition, values = chosen(store, selection)
    return dict(store.rows(_PREDICTION_EPOCHS.format(condition=condition), values | {"split": split}))


def _curve(
    run_id: str,
    epochs: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    began: npt.NDArray[np.datetime64],
) -> Curve:
    """The values by epoch, where an epoch is recorded twice the one of the process that began later."""
    if (np.diff(epochs) <= 0).any():
        order = np.lexsort((began, epochs))
        kept = order[np.append(np.diff(epochs[order]) > 0, True)]
        epochs, values = epochs[kept], values[kept]
    return Curve(run_id, epochs, values)


def _predictions(found: dict[str, Any], row: int) -> Predictions:
    whole = {name: found[name][row].astype(np.int64) for name in ("label", "predicted", "rank")}
    shares = {name: found[name][row].astype(np.float64) for name in ("p_true", "p_max")}
    return Predictions(epoch=int(found["epoch"][row]), **whole, **shares)
