"""Two columns of results, one value per seed: their difference and how sure it is."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lossbench.stats.distributions import chi_square_quantile
from lossbench.stats.estimate import Estimate

__all__ = [
    "correlation",
    "difference",
    "hedges",
    "sd_interval",
    "sign_flip_floor",
    "sign_flip_p",
    "spread",
    "superiority",
    "welch",
]

EXACT_UP_TO = 20
DRAWS = 100_000
ROUNDING = 1e-12


def spread(values: NDArray[np.float64]) -> float:
    """Standard deviation with n - 1 in the denominator; nan for fewer than two values, 0 for equal ones."""
    if values.size < 2:
        return math.nan
    apart = values - values.sum() / values.size
    found = math.sqrt(float(apart @ apart) / (values.size - 1))
    # Equal differences of fractions leave a spread of rounding errors, which would weigh a preset without bound.
    return found if found > ROUNDING * float(np.abs(values).max()) else 0.0


def difference(gains: NDArray[np.float64]) -> Estimate:
    """The paired t test: mean of the differences per seed [n], se = s_d / sqrt(n), n - 1 degrees of freedom."""
    n = gains.size
    return Estimate(value=float(gains.mean()), se=spread(gains) / math.sqrt(n), df=n - 1)


def welch(baseline: NDArray[np.float64], candidate: NDArray[np.float64]) -> Estimate:
    """Difference of means of two unpaired samples [n_a], [n_b] with unequal variances (Welch 1947).

    se^2 = s_a^2/n_a + s_b^2/n_b,   df = se^4 / sum_i (s_i^2/n_i)^2/(n_i - 1)
    """
    value = float(candidate.mean() - baseline.mean())
    parts = [spread(each) ** 2 / each.size for each in (baseline, candidate)]
    total = sum(parts)
    if not total > 0:
        return Estimate(value=value, se=total, df=math.nan)
    weights = sum(part**2 / (each.size - 1) for part, each in zip(parts, (baseline, candidate), strict=True))
    return Estimate(value=value, se=math.sqrt(total), df=total**2 / weights)


def sign_flip_p(gains: NDArray[np.float64]) -> float:
    """Two-sided permutation p of the mean under random signs (Fisher 1935).

    The share of all 2^n sign patterns whose sum is at least as far from 0 as the observed one. Exact up to n = 20;
    above, (1 + hits) / (1 + draws) over 100,000 patterns of a fixed generator.

    Args:
        gains: differences per seed [n], n >= 1.
    """
    observed = abs(float(gains.sum()))
    # Sums of the same numbers in another order differ in the last bits; ties have to count.
    limit = observed - 1e-9 * float(np.abs(gains).sum())
    if limit <= 0:
        return 1.0
    if gains.size > EXACT_UP_TO:
        signs = np.random.default_rng(0).integers(0, 2, size=(DRAWS, gains.size), dtype=np.int8) * 2 - 1
        hits = int((np.abs(signs @ gains) >= limit).sum())
        return (1 + hits) / (1 + DRAWS)
    # Meeting in the middle: 2^10 sums of either half instead of 2^20 of both.
    left, right = (_signs(half.size) @ half for half in (gains[::2], gains[1::2]))
    right.sort()
    above = int((right.size - np.searchsorted(right, limit - left)).sum())
    return float(2 * above / 2.0**gains.size)


@cache
def _signs(n: int) -> NDArray[np.float64]:
    """Every pattern of n signs [2^n, n]."""
    return 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64) - 1


def sign_flip_floor(n: int) -> float:
    """The smallest two-sided p that n differences can reach: 2 / 2^n, and one in 100,001 beyond exact enumeration."""
    return 2.0 ** (1 - n) if n <= EXACT_UP_TO else 1 / (1 + DRAWS)


def hedges(gains: NDArray[np.float64]) -> float:
    """Standardised mean difference of pairs, corrected for small samples: g_z = J * mean / s_d (Hedges 1981).

        J = Gamma(df/2) / (sqrt(df/2) Gamma((df - 1)/2)),   df = n - 1

    nan for fewer than three pairs or no spread.
    """
    df, sd = gains.size - 1, spread(gains)
    if df < 2 or not sd > 0:
        return math.nan
    log_j = math.lgamma(df / 2) - math.lgamma((df - 1) / 2) - math.log(df / 2) / 2
    return math.exp(log_j) * float(gains.mean()) / sd


def superiority(baseline: NDArray[np.float64], candidate: NDArray[np.float64]) -> float:
    """P(candidate > baseline): share of all n_a * n_b pairs of runs that the candidate wins, ties counted as half.

    Bouthillier et al. 2021 call a gain meaningful from 0.75 on.
    """
    apart = candidate[:, None] - baseline[None, :]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())


def correlation(baseline: NDArray[np.float64], candidate: NDArray[np.float64]) -> float:
    """Pearson's r of the two columns, which says whether pairing bought anything; nan where a column has no spread."""
    if baseline.size < 2:
        return math.nan
    left, right = baseline - baseline.mean(), candidate - candidate.mean()
    scale = math.sqrt(float(left @ left) * float(right @ right))
    return float(left @ right) / scale if scale > 0 else math.nan


def sd_interval(sd: float, df: float) -> tuple[float, float]:
    """95 % confidence interval of a normal standard deviation: sd * sqrt(df / chi2_df)."""
    low, high = (sd * math.sqrt(df / chi_square_quantile(p, df)) for p in (0.975, 0.025))
    return low, high
