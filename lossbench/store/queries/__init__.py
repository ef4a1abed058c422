"""Every question the program asks the store, by name. No SQL is written anywhere else."""

from lossbench.store.queries.runs import Cell, RunDetail, RunRow, cells, known, provenances, resolve, run, runs, specs
from lossbench.store.queries.values import (
    Curve,
    EpochRule,
    Final,
    Predictions,
    StoredMetric,
    curves,
    finals,
    metrics,
    parse_at,
    predictions,
)

__all__ = [
    "Cell",
    "Curve",
    "EpochRule",
    "Final",
    "Predictions",
    "RunDetail",
    "RunRow",
    "StoredMetric",
    "cells",
    "curves",
    "finals",
    "known",
    "metrics",
    "parse_at",
    "predictions",
    "provenances",
    "resolve",
    "run",
    "runs",
    "specs",
]
