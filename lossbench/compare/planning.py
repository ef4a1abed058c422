"""Before the runs: how far a number of seeds can see, and how many a difference takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossbench.compare.losses import compare_losses
from lossbench.compare.values import Panel
from lossbench.errors import NothingFound, UsageError
from lossbench.measures import Measure, measure
from lossbench.stats.paired import sd_interval, spread
from lossbench.stats.power import detectable, power, seeds_needed
from lossbench.store import Selection, Store, nothing, queries

__all__ = ["Plan", "Spread", "named_spread", "plan", "stored_spread"]

SEEDS = (3, 4, 5, 6, 8, 10, 15, 20, 30, 50)
"""Numbers of seeds a plan lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard deviation of the difference of two runs of one seed, in stored units, and what it rests on."""

    sd: float
    df: float | None
    """Degrees of freedom of the estimate; None for a number somebody named."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What each number of seeds can see, and how many see `delta`."""

    measure: Measure
    spread: Spread
    delta: float
    alpha: float
    target: float
    needed: int
    needed_range: tuple[int, int] | None
    """The same at the ends of the 95 % interval of the spread, where it was estimated."""
    rows: tuple[tuple[int, float, float], ...]
    """Seeds, power at `delta`, smallest difference seen with the target power."""


def plan(spread: Spread, delta: float, measure: Measure, *, alpha: float = 0.05, target: float = 0.8) -> Plan:
    """Power of the paired t test.

    Args:
        delta: difference to be seen, in the unit people see.
    Raises:
        UsageError: a number is out of range.
    """
    delta = delta / measure.scale
    if not (0 < delta < math.inf and 0 < spread.sd < math.inf):
        raise UsageError("the difference to see and the spread must be above 0 and finite")
    if not (0 < alpha < 0.5 < target < 1):
        raise UsageError("alpha lies between 0 and 0.5, the power between 0.5 and 1")
    errors = [(n, spread.sd / math.sqrt(n)) for n in SEEDS]
    ends = None
    if spread.df:
        low, high = sd_interval(spread.sd, spread.df)
        ends = (seeds_needed(low, delta, alpha, target), seeds_needed(high, delta, alpha, target))
    return Plan(
        measure=measure,
        spread=spread,
        delta=delta,
        alpha=alpha,
        target=target,
        needed=seeds_needed(spread.sd, delta, alpha, target),
        needed_range=ends,
        rows=tuple((n, power(delta, se, n - 1, alpha), detectable(se, n - 1, alpha, target)) for n, se in errors),
    )


def named_spread(sd: float, metric: str | None) -> tuple[Spread, Measure]:
    """A spread somebody names, in the unit people see, of top-1 accuracy unless another metric is meant."""
    of = measure((metric or "top1_acc").rpartition("/")[2])
    return Spread(sd=sd / of.scale, df=None, source="as named"), of


def stored_spread(
    store: Store, selection: Selection, *, baseline: str = "ce", metric: str | None = None, at: str | None = None
) -> tuple[Spread, Measure]:
    """The spread of the selected runs: pooled over all losses, or from the only loss there is.

    Raises:
        NothingFound: no run matches, or no loss has two that differ.
    """
    rows = queries.briefs(store, selection)
    if not rows and selection.presets:
        raise nothing(store, selection)
    if len({row.loss for row in rows}) > 1:
        panels = compare_losses(store, selection, baseline=baseline, metric=metric, at=at).panels
        pooled = _pooled(panels)
        if pooled is not None:
            return pooled, panels[0].measure
    for row in rows:
        name, rule = metric or row.metric or "top1_acc", at or row.metric_at or "last"
        split, _, short = name.rpartition("/")
        own = Selection(presets=(row.preset,), losses=(row.loss,), statuses=("done",))
        finals = queries.finals(store, own, short, split=split or "test", at=rule)
        values = np.array([each.value for each in finals if each.value is not None and math.isfinite(each.value)])
        if values.size > 1 and spread(values) > 0:
            source = f"sqrt(2) times the spread of {values.size} runs of {row.loss} on {row.preset}"
            return Spread(sd=math.sqrt(2) * spread(values), df=values.size - 1, source=source), measure(short)
    raise NothingFound("no loss has two finished runs that differ, to take a spread from; name one with --sd")


def _pooled(panels: Sequence[Panel]) -> Spread | None:
    """Root of the mean variance of the differences, weighted by degrees of freedom."""
    found = [(each.sd, each.n - 1) for panel in panels for each in panel.contrasts if each.sd and each.n > 1]
    if not found:
        return None
    df = sum(each for _, each in found)
    variance = sum(sd**2 * each for sd, each in found) / df
    losses = len({each.candidate.loss for panel in panels for each in panel.contrasts})
    where = ", ".join(panel.preset for panel in panels)
    return Spread(sd=math.sqrt(variance), df=df, source=f"differences of {losses} losses to the baseline on {where}")
