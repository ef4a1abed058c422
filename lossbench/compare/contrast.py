"""One preset: every loss against one baseline, from values by seed to verdicts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.values import Arm, Contrast, Rules, Verdict, known
from lossbench.compare.verdict import FEWEST, judge
from lossbench.stats import paired
from lossbench.stats.estimate import Estimate
from lossbench.stats.multiplicity import adjust, simultaneous_level
from lossbench.stats.power import detectable, seeds_needed

__all__ = ["contrasts"]


def contrasts(baseline: Arm, candidates: Sequence[Arm], *, sign: int, rules: Rules) -> list[Contrast]:
    """Compare each candidate with the baseline; all of them, measurable or not, count in the correction.

    Args:
        sign: +1 where larger values are better, -1 where smaller ones are.
    """
    pairings = [_pair(baseline, candidate, sign) for candidate in candidates]
    adjusted = adjust([each.p for each in pairings], rules.correct)
    level = simultaneous_level(rules.alpha, len(pairings), rules.correct)
    return [
        _contrast(baseline, candidate, pairing, float(p), level, rules)
        for candidate, pairing, p in zip(candidates, pairings, adjusted, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairing:
    """The two columns that are compared, oriented so that larger is better."""

    matched: bool
    baseline: NDArray[np.float64]
    candidate: NDArray[np.float64]
    unmatched: tuple[int, ...]
    estimate: Estimate
    p: float
    sd: float
    """Of one run's difference; its standard error is this over sqrt(n)."""

    @property
    def n(self) -> int:
        return min(self.baseline.size, self.candidate.size)


def _pair(baseline: Arm, candidate: Arm, sign: int) -> _Pairing:
    common = sorted(baseline.values.keys() & candidate.values.keys())
    # Welch only where pairing is impossible but either side has enough runs of its own to give a spread.
    matched = len(common) >= FEWEST or min(baseline.n, candidate.n) < FEWEST
    if matched:
        left, right = (np.array([sign * arm.values[seed] for seed in common]) for arm in (baseline, candidate))
        gains = right - left
        nothing = Estimate(value=math.nan, se=math.nan, df=math.nan)
        estimate, sd = (paired.difference(gains) if common else nothing), paired.spread(gains)
    else:
        left, right = (sign * np.array(list(arm.values.values())) for arm in (baseline, candidate))
        estimate, sd = paired.welch(left, right), math.hypot(paired.spread(left), paired.spread(right))
    return _Pairing(
        matched=matched,
        baseline=left,
        candidate=right,
        unmatched=tuple(sorted(baseline.values.keys() ^ candidate.values.keys())) if matched else (),
        estimate=estimate,
        p=estimate.p,
        sd=sd,
    )


def _contrast(
    baseline: Arm, candidate: Arm, pairing: _Pairing, p_adjusted: float, level: float, rules: Rules
) -> Contrast:
    estimate, n = pairing.estimate, pairing.n
    gains = pairing.candidate - pairing.baseline if pairing.matched else np.empty(0)
    identical = pairing.matched and n > 0 and not gains.any()
    enough = n >= FEWEST and not math.isnan(pairing.p)
    low, high = estimate.interval(1 - rules.alpha) if enough else (math.nan, math.nan)
    joint_low, joint_high = estimate.interval(level) if enough else (math.nan, math.nan)
    visible = detectable(estimate.se, estimate.df, rules.alpha, rules.power) if enough else math.nan
    verdict = judge(estimate, n=n, p_adjusted=p_adjusted, detectable=visible, identical=identical, rules=rules)
    needed = _seeds(pairing, rules) if enough else (None, None, None)
    beyond = None
    if verdict in (Verdict.BETTER, Verdict.WORSE) and rules.min_effect is not None:
        beyond = max(joint_low, -joint_high) > rules.min_effect
    return Contrast(
        baseline=baseline,
        candidate=candidate,
        paired=pairing.matched,
        n=n,
        unmatched=pairing.unmatched,
        gain=known(estimate.value),
        sd=known(pairing.sd),
        se=known(estimate.se),
        df=known(estimate.df),
        t=known(estimate.t) if enough else None,
        low=known(low),
        high=known(high),
        p=pairing.p if enough else None,
        p_adjusted=p_adjusted if enough else None,
        joint_low=known(joint_low),
        joint_high=known(joint_high),
        flip_p=paired.sign_flip_p(gains) if gains.size else None,
        flip_floor=paired.sign_flip_floor(n) if gains.size else None,
        hedges=known(paired.hedges(gains)) if gains.size else None,
        superiority=paired.superiority(pairing.baseline, pairing.candidate) if n else None,
        correlation=known(paired.correlation(pairing.baseline, pairing.candidate)) if gains.size else None,
        equivalence_p=estimate.equivalence_p(rules.min_effect) if enough and rules.min_effect is not None else None,
        detectable=known(visible),
        seeds_needed=needed[0],
        seeds_low=needed[1],
        seeds_high=needed[2],
        identical=identical,
        verdict=verdict,
        beyond=beyond,
    )


def _seeds(pairing: _Pairing, rules: Rules) -> tuple[int, int, int] | tuple[None, None, None]:
    if rules.min_effect is None:
        return None, None, None
    spreads = (pairing.sd, *paired.sd_interval(pairing.sd, pairing.estimate.df))
    found = [seeds_needed(sd, rules.min_effect, rules.alpha, rules.power, paired=pairing.matched) for sd in spreads]
    return found[0], found[1], found[2]
