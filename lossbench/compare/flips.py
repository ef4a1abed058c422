"""What becomes of the rows a model has wrong: those far from right seldom get there (arXiv 2109.05635)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossbench.errors import NothingFound
from lossbench.store import Selection, Store, nothing, queries
from lossbench.store.queries import Predictions, RunBrief

__all__ = ["Flips", "Group", "flips"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Test rows that stood alike at one epoch, and how many of them are right at the last."""

    rows: int
    right: int

    @property
    def share(self) -> float | None:
        return self.right / self.rows if self.rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """One run: its test rows by how they stood at an epoch."""

    preset: str
    loss: str
    seed: int
    epoch: int
    last: int
    right: Group
    near: Group
    """Wrong, but with p_y above the limit."""
    far: Group
    """Wrong, and with p_y at most the limit."""


def flips(store: Store, selection: Selection, *, epoch: int | None = None, limit: float = 0.2) -> tuple[Flips, ...]:
    """Every selected run that kept its predictions after that epoch and after a later one.

    Args:
        epoch: by default the first that each run kept.
        limit: probability of the true class that parts wrong rows.
    Raises:
        NothingFound: no run matches, or none kept predictions of two epochs.
    """
    rows = queries.briefs(store, selection)
    if not rows:
        raise nothing(store, selection)
    kept = queries.prediction_epochs(store, selection)
    starts = {run: first for run, found in kept.items() if (first := _first(found, epoch)) is not None}
    if not starts:
        known = sorted({each for found in kept.values() for each in found[:-1]})
        hint = f"kept are those of {', '.join(map(str, known))}" if known else "train with -s 'keep_predictions=[5]'"
        wanted = "an epoch before the last" if epoch is None else f"epoch {epoch}"
        raise NothingFound(f"no selected run kept its predictions of {wanted}; {hint}")
    late = queries.predictions(store, selection)
    early: dict[str, Predictions] = {}
    for first in sorted(set(starts.values())):
        here = Selection(runs=tuple(run for run in starts if starts[run] == first))
        early |= queries.predictions(store, here, epoch=first)
    return tuple(
        _flips(row, early[row.run_id], late[row.run_id], limit) for row in _ordered(rows) if row.run_id in early
    )


def _first(epochs: Sequence[int], wanted: int | None) -> int | None:
    before = epochs[:-1]
    if wanted is None:
        return before[0] if before else None
    return wanted if wanted in before else None


def _ordered(rows: Sequence[RunBrief]) -> list[RunBrief]:
    return sorted(rows, key=lambda row: (row.preset, row.loss, row.seed))


def _flips(row: RunBrief, early: Predictions, late: Predictions, limit: float) -> Flips:
    right, done = early.rank == 0, late.rank == 0
    # Stored in single precision, in which the limit must be said to stand on the same side as a p_y equal to it.
    near = ~right & (early.p_true > np.float32(limit))
    groups = {"right": right, "near": near, "far": ~right & ~near}
    return Flips(
        preset=row.preset,
        loss=row.loss,
        seed=row.seed,
        epoch=early.epoch,
        last=late.epoch,
        **{name: Group(rows=int(each.sum()), right=int((each & done).sum())) for name, each in groups.items()},
    )
