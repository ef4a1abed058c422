"""Test rows as a source of error of their own: would the difference persist on a new test set?"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.stats.distributions import binomial_cdf, f_tail
from lossbench.stats.estimate import Estimate

__all__ = ["Crossed", "crossed", "largest_discordance", "mcnemar_p", "seed_sd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """One difference of accuracies with three standard errors, by what would be drawn anew."""

    new_seeds: Estimate
    """Other seeds, this test set: the question a verdict answers."""
    new_test_set: Estimate
    """Other seeds and another test set of the same size."""
    independent: Estimate
    """The new test set as well, if the errors of all runs were independent: more degrees of freedom, one assumption."""
    f: float
    """MS_seed / MS_residual, near 1 where that assumption holds."""
    f_p: float


def crossed(differences: NDArray[np.float64]) -> Crossed:
    """Two-way analysis of S paired runs over n test rows, both drawn at random.

        D_si = [candidate right] - [baseline right] for seed s and row i
        MS_seed = n sum_s (D_s. - D)^2/(S-1),   MS_row = S sum_i (D_.i - D)^2/(n-1)
        MS_res = sum_si (D_si - D_s. - D_.i + D)^2/((S-1)(n-1))
        new seeds:     se^2 = MS_seed/(nS),                               df S - 1
        new test set:  se^2 = (MS_row + max(0, MS_seed - MS_res))/(nS),   df by Satterthwaite
        independent:   se^2 = MS_res/(nS),                                df (S - 1)(n - 1)

    Args:
        differences: [S, n] in {-1, 0, 1}, S >= 2 seeds.
    """
    seeds, rows = differences.shape
    mean = float(differences.mean())
    by_seed, by_row = differences.mean(axis=1) - mean, differences.mean(axis=0) - mean
    residual_df = (seeds - 1) * (rows - 1)
    ms_seed = rows * float(by_seed @ by_seed) / (seeds - 1)
    ms_row = seeds * float(by_row @ by_row) / (rows - 1)
    # The sums of squares add up, which spares an [S, n] array of residuals.
    total = float(((differences - mean) ** 2).sum())
    ms_residual = max(0.0, total - ms_seed * (seeds - 1) - ms_row * (rows - 1)) / residual_df
    parts = [(ms_row, rows - 1)]
    if ms_seed > ms_residual:
        parts += [(ms_seed, seeds - 1), (-ms_residual, residual_df)]
    ms_new = sum(part for part, _ in parts)
    spread = sum(part**2 / df for part, df in parts)

    def estimate(mean_square: float, df: float) -> Estimate:
        return Estimate(value=mean, se=math.sqrt(mean_square / (rows * seeds)), df=df)

    f = ms_seed / ms_residual if ms_residual > 0 else math.nan
    return Crossed(
        new_seeds=estimate(ms_seed, seeds - 1),
        new_test_set=estimate(ms_new, ms_new**2 / spread if spread > 0 else rows - 1),
        independent=estimate(ms_residual, residual_df),
        f=f,
        f_p=f_tail(f, seeds - 1, residual_df),
    )


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact two-sided p that two models err equally often (McNemar 1947).

        p = 2 P(Binomial(b + c, 1/2) <= min(b, c)), at most 1

    Args:
        gained: rows only the candidate has right, b.
        lost: rows only the baseline has right, c.
    """
    return min(1.0, 2 * binomial_cdf(min(gained, lost), gained + lost, 0.5))


def largest_discordance(net: int) -> int:
    """The most rows two models may disagree on while a net gain of `net` rows keeps McNemar's p below 0.05, or 0."""
    # With b = net + c the p grows with c, so the last c below 0.05 is found by doubling and halving.
    if not mcnemar_p(net, 0) < 0.05:
        return 0
    low, high = 0, 1
    while mcnemar_p(net + high, high) < 0.05:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if mcnemar_p(net + middle, middle) < 0.05 else (low, middle)
    return net + 2 * low


def seed_sd(error: float, rows: int) -> float:
    """Rule of thumb for the spread of a test accuracy between seeds: sqrt(error / (2 n)) (Jordan 2023).

    Exact for calibrated binary ensembles; a stand-in before there are runs to measure it from.
    """
    return math.sqrt(error / (2 * rows))
