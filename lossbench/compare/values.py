"""What a comparison is made of, from the results of one loss to the whole answer. Stored units throughout."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from lossbench.measures import Measure
from lossbench.spec import Published
from lossbench.stats.multiplicity import Correction
from lossbench.stats.paired import spread

__all__ = [
    "SCHEMA_VERSION",
    "Across",
    "Arm",
    "Choice",
    "Comparison",
    "Contrast",
    "Panel",
    "Plan",
    "Ranking",
    "Rules",
    "Verdict",
]

SCHEMA_VERSION = 1
"""Version of the fields below, as printed in JSON."""


class Verdict(StrEnum):
    """The words a comparison may end in; `lossbench.compare.verdict` says when each is said."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    NO_DIFFERENCE = "no detectable difference"
    UNDERPOWERED = "underpowered"
    INSUFFICIENT = "insufficient data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is fixed before the numbers are looked at."""

    alpha: float = 0.05
    correct: Correction = "holm"
    min_effect: float | None = 0.002
    """Smallest difference that matters; without one, equivalence and power are not judged."""
    power: float = 0.8
    judged: bool = True
    """False where numbers are shown but no verdict may be drawn from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One loss on one preset: the value of each finished run and what became of the others."""

    loss: str
    values: dict[int, float]
    """Finite values by seed."""
    runs: dict[int, str] = field(default_factory=dict)
    """Ids of the runs those values come from, by seed."""
    diverged: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    unfinished: tuple[int, ...] = ()
    """Seeds of runs that were interrupted, or are still going."""
    not_finite: tuple[int, ...] = ()
    """Seeds of runs that finished, but with a NaN or infinite value of this metric."""
    censored: tuple[int, ...] = ()
    """Seeds of runs that finished without reaching the limit the metric waits for."""

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Over seeds; None without a value."""
        return math.fsum(self.values.values()) / self.n if self.values else None

    @property
    def sd(self) -> float | None:
        """Between seeds; None for fewer than two."""
        return known(spread(np.array(list(self.values.values()))))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that was started, however it ended."""
        lost = (*self.diverged, *self.failed, *self.unfinished, *self.not_finite, *self.censored)
        return tuple(sorted({*self.values, *lost}))

    @property
    def lost(self) -> dict[str, int]:
        """How many runs have no value, by what became of them; only what did happen."""
        counts = {
            "diverged": len(self.diverged),
            "failed": len(self.failed),
            "unfinished": len(self.unfinished),
            "not finite": len(self.not_finite),
            "never there": len(self.censored),
        }
        return {name: count for name, count in counts.items() if count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One loss against the baseline on one preset. Differences are oriented: positive is better. None is unknown."""

    baseline: Arm
    candidate: Arm
    paired: bool
    """False where the seeds do not match, so that Welch's test stands in for the paired one."""
    n: int
    """Pairs, or without pairs the runs of the smaller arm."""
    unmatched: tuple[int, ...]
    """Seeds with a value on one side only, left out of the pairs."""
    gain: float | None
    sd: float | None
    """Of the differences per seed; sqrt(s_a^2 + s_b^2) without pairs."""
    se: float | None
    df: float | None
    t: float | None
    low: float | None
    high: float | None
    """Interval of level 1 - alpha for this contrast alone."""
    p: float | None
    p_adjusted: float | None
    joint_low: float | None
    joint_high: float | None
    """Interval at the level at which the intervals of all candidates of the preset hold together."""
    flip_p: float | None
    flip_floor: float | None
    hedges: float | None
    superiority: float | None
    correlation: float | None
    equivalence_p: float | None
    detectable: float | None
    """The true difference that this many seeds see with the wanted power."""
    seeds_needed: int | None
    seeds_low: int | None
    seeds_high: int | None
    """Seeds that see `min_effect`, at the measured spread and at the ends of its 95 % interval."""
    identical: bool
    verdict: Verdict | None
    beyond: bool | None
    """For better and worse: whether the whole joint interval lies beyond `min_effect`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """One loss against the baseline over several presets, each reduced to its mean over seeds."""

    candidate: str
    presets: int
    pooled_presets: int
    """Presets with an error of their own, which the random-effects mean needs."""
    gain: float | None
    low: float | None
    high: float | None
    p: float | None
    """Random-effects mean with its Hartung-Knapp interval."""
    p_adjusted: float | None
    tau: float | None
    i_squared: float | None
    plain_gain: float
    plain_low: float | None
    plain_high: float | None
    """Unweighted mean difference, with its t interval over presets."""
    wilcoxon_p: float | None
    wilcoxon_adjusted: float | None
    wilcoxon_floor: float
    presets_better: int
    presets_worse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The losses that every preset has, over all presets: a picture, never a verdict."""

    losses: tuple[str, ...]
    left_out: tuple[str, ...]
    """Losses that some preset has no value of."""
    presets: int
    means: tuple[float, ...]
    """Of the metric over the presets."""
    mean_ranks: tuple[float, ...]
    wins_shared: tuple[int, ...]
    wins_outright: tuple[int, ...]
    friedman: float | None
    friedman_p: float | None
    permuted: bool
    """Whether `friedman_p` comes from permutations within presets instead of the chi-square distribution."""
    iman_davenport: float | None
    iman_davenport_p: float | None
    critical_difference: float | None
    cliques: tuple[tuple[str, ...], ...]
    conover_p: tuple[tuple[float, ...], ...]
    error_profiles: tuple[tuple[tuple[float, float], ...], ...]
    """For each loss the steps (tau, share of presets whose error is at most tau times the smallest)."""
    accuracy_profiles: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How one loss of a preset came by the setting it is judged at."""

    loss: str
    setting: str
    """Such as `optimizer.lr=0.01`."""
    score: float | None
    """Mean over seeds on the validation rows."""
    tried: int
    """Settings it was chosen from."""
    runs: int
    """Runs spent on them."""
    search: str = ""
    """How they were found, where a search of ours found them and other runs than those are judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Looks planned in advance, and the level each has so that all together keep to alpha."""

    looks: tuple[int, ...]
    """Seeds at which to look."""
    alpha: float
    level: float

    @property
    def statement(self) -> str:
        """The rule in a sentence, to be printed with the verdicts."""
        at = ", ".join(map(str, self.looks))
        if len(self.looks) == 1:
            return f"seeds were planned for a single look at {at}, held to {self.alpha:g}"
        return (
            f"seeds are added until all is decided, with looks at {at}, each held to {self.level:.4g} instead of "
            f"{self.alpha:g} (Pocock): the chance that any look says better or worse of any loss without a difference "
            f"is at most {100 * self.alpha:g} %"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One preset: what its runs are judged by, and every loss against the baseline."""

    preset: str
    measure: Measure
    split: str
    at: str
    exploratory: bool
    """Whether metric, split or epoch rule is another than the one the preset declares."""
    rules: Rules
    contrasts: tuple[Contrast, ...]
    choices: tuple[Choice, ...] = ()
    """One per loss, where each is judged at its own setting."""
    tuned: tuple[str, ...] = ()
    """The fields that are part of a setting."""
    plan: Plan | None = None
    """By which the number of seeds came about; `rules.alpha` is then its level."""
    looked: tuple[int, ...] = ()
    """Numbers of pairs at which this question was put to these losses so far, this time included."""
    counted: bool = False
    """Whether the store knows of this look already, as it has seen the same pairs before."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every loss, the baseline first."""
        return (self.contrasts[0].baseline, *(each.candidate for each in self.contrasts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answer to `lossbench compare`, and the only thing a renderer needs to know."""

    baseline: str
    panels: tuple[Panel, ...]
    across: tuple[Across, ...] = ()
    ranking: Ranking | None = None
    warnings: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    """Figures reported for all of these presets together."""
    schema_version: int = SCHEMA_VERSION


def known(value: float) -> float | None:
    """None for NaN, which no output format has a word for."""
    return None if math.isnan(value) else value


def listed(seeds: Sequence[int]) -> str:
    """Sorted seeds with runs of neighbours joined: `0-4,7`."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
