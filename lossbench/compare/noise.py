"""One loss against itself: how large a difference chance alone makes, and how often the verdict falls for it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.contrast import contrasts
from lossbench.compare.question import Asker
from lossbench.compare.values import Arm, Rules, Verdict
from lossbench.errors import NothingFound, UsageError, unknown
from lossbench.measures import Measure
from lossbench.stats.paired import spread
from lossbench.store import Selection, Store, queries

__all__ = ["NoiseFloor", "against_itself"]

SPLITS = 1000
FEWEST_SEEDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """What splitting the seeds of one loss into two arms shows, over many random splits."""

    preset: str
    loss: str
    measure: Measure
    at: str
    seeds: int
    """Runs in each arm."""
    runs: int
    mean: float
    sd: float
    """Between seeds."""
    floor: float
    """95 % of the differences between two arms are smaller than this."""
    largest: float
    alarms: float
    """Share of splits whose verdict was better or worse."""
    alpha: float
    splits: int


def against_itself(
    store: Store,
    preset: str,
    *,
    loss: str = "ce",
    seeds: int = 5,
    metric: str | None = None,
    at: str | None = None,
    alpha: float = 0.05,
) -> NoiseFloor:
    """Split 2 x `seeds` runs of one loss at random into two arms, pair them at random, and judge, 1,000 times.

    Splits share runs, so the share of alarms wanders about alpha by more than 1,000 independent experiments would.

    Raises:
        NothingFound: too few finished runs; the message names the sweep that makes them.
        UsageError: fewer than 3 seeds.
    """
    if seeds < FEWEST_SEEDS:
        raise UsageError(f"--seeds is {seeds}; an arm needs at least {FEWEST_SEEDS}")
    selection = Selection(presets=(preset,), losses=(loss,), statuses=("done",))
    rows = queries.briefs(store, selection)
    if not rows and (presets := queries.known(store, "preset")) and preset not in presets:
        raise NothingFound(f"no runs: {unknown('preset', preset, presets)}")
    sweep = f"`lossbench sweep {preset} --loss {loss} --seeds {2 * seeds}` makes them"
    recipes = {row.recipe for row in rows}
    if len(recipes) > 1:
        raise NothingFound(
            f"{preset}: the runs of {loss} follow {len(recipes)} recipes; they cannot be split at random"
        )
    by_seed = {row.seed: row.run_id for row in rows}
    if len(by_seed) < 2 * seeds:
        raise NothingFound(
            f"{preset}: {2 * seeds} finished runs of {loss} are needed, {len(by_seed)} are there; {sweep}"
        )
    asker = Asker(store=store, selection=selection, metric=metric, at=at, answers={})
    question = asker.question(rows)
    finals = asker.finals(preset, question, rows)
    values = np.array([finals[each].value for each in by_seed.values() if each in finals], dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size < 2 * seeds:
        raise NothingFound(f"{preset}: only {values.size} runs of {loss} have a finite {question.measure.name}")
    gains, alarms = _split(values, seeds, Rules(min_effect=None, alpha=alpha))
    return NoiseFloor(
        preset=preset,
        loss=loss,
        measure=question.measure,
        at=question.at,
        seeds=seeds,
        runs=values.size,
        mean=float(values.mean()),
        sd=spread(values),
        floor=float(np.quantile(gains, 0.95)),
        largest=float(gains.max()),
        alarms=alarms,
        alpha=alpha,
        splits=SPLITS,
    )


def _split(values: NDArray[np.float64], seeds: int, rules: Rules) -> tuple[NDArray[np.float64], float]:
    """Sizes of the differences, and the share of false alarms."""
    generator = np.random.default_rng(0)
    gains, alarms = [], 0
    for _ in range(SPLITS):
        drawn = generator.permutation(values)[: 2 * seeds].reshape(2, seeds).tolist()
        left, right = (Arm(loss="itself", values=dict(enumerate(part))) for part in drawn)
        (found,) = contrasts(left, [right], sign=1, rules=rules)
        gains.append(abs(found.gain or 0.0))
        alarms += found.verdict in (Verdict.BETTER, Verdict.WORSE)
    return np.array(gains), alarms / SPLITS
