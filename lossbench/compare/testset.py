"""The same differences with the test rows drawn anew: what per-row predictions add to a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.values import Comparison, Contrast
from lossbench.errors import NothingFound
from lossbench.stats.testset import Crossed, crossed, mcnemar_p
from lossbench.store import Selection, Store, queries
from lossbench.store.queries import Predictions

__all__ = ["RowByRow", "row_by_row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowByRow:
    """Top-1 accuracy of a candidate and the baseline on the same test rows, seed by seed."""

    preset: str
    candidate: str
    rows: int
    seeds: tuple[int, ...]
    crossed: Crossed | None
    """Intervals for new seeds and for a new test set; None for a single pair of runs."""
    gained: int
    lost: int
    """Rows that only the candidate, or only the baseline, has right; in the first pair of runs."""
    mcnemar_p: float
    """Of that pair."""


def row_by_row(store: Store, value: Comparison) -> tuple[RowByRow, ...]:
    """Every paired contrast whose runs kept their predictions.

    Raises:
        NothingFound: none of them did, or their test rows are not the same.
    """
    found = []
    for panel in value.panels:
        runs = tuple(run for arm in panel.arms for run in arm.runs.values())
        kept = queries.predictions(store, Selection(runs=runs))
        pairs = [(contrast, _pairs(contrast, kept)) for contrast in panel.contrasts]
        found += [_row_by_row(panel.preset, contrast, seeds) for contrast, seeds in pairs if seeds]
    if not found:
        raise NothingFound("no pair of these runs kept its predictions of the test rows")
    return tuple(found)


def _pairs(contrast: Contrast, kept: Mapping[str, Predictions]) -> dict[int, tuple[Predictions, Predictions]]:
    """(baseline, candidate) by seed."""
    common = sorted(contrast.baseline.runs.keys() & contrast.candidate.runs.keys())
    runs = {seed: (contrast.baseline.runs[seed], contrast.candidate.runs[seed]) for seed in common}
    return {seed: (kept[left], kept[right]) for seed, (left, right) in runs.items() if {left, right} <= kept.keys()}


def _row_by_row(preset: str, contrast: Contrast, pairs: Mapping[int, tuple[Predictions, Predictions]]) -> RowByRow:
    labels = [each.label for pair in pairs.values() for each in pair]
    if any(not np.array_equal(labels[0], each) for each in labels):
        raise NothingFound(f"{preset}: the runs of {contrast.candidate.loss} were not tested on the same rows")
    differences = _differences(list(pairs.values()))
    gained, lost = int((differences[0] > 0).sum()), int((differences[0] < 0).sum())
    return RowByRow(
        preset=preset,
        candidate=contrast.candidate.loss,
        rows=differences.shape[1],
        seeds=tuple(pairs),
        crossed=crossed(differences) if len(pairs) > 1 else None,
        gained=gained,
        lost=lost,
        mcnemar_p=mcnemar_p(gained, lost),
    )


def _differences(pairs: Sequence[tuple[Predictions, Predictions]]) -> NDArray[np.float64]:
    """[S, n]: 1 where only the candidate is right, -1 where only the baseline is."""
    return np.array([(right.rank == 0) * 1.0 - (left.rank == 0) for left, right in pairs])
