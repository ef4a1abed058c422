"""Several losses over several presets by rank: who comes first how often, and pictures of it.

Scores are [N, k], N presets by k losses, larger is better. Mean-rank tests depend on which other losses take part
(Benavoli, Corani & Mangili 2016), so they illustrate and never decide.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.stats.distributions import chi_square_tail, f_tail, t_cdf

__all__ = ["Friedman", "cliques", "conover_p", "friedman", "nemenyi_distance", "profile", "rank", "wins"]

FEW_BLOCKS = 10
DRAWS = 20_000
_PLACES = np.linspace(-9, 9, 289)
"""Where a smooth function that has died away at both ends is summed, which is exact to the last digits."""


def rank(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank within each row [N, k], 1 for the largest, average ranks for ties."""
    larger = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
    equal = (scores[:, None, :] == scores[:, :, None]).sum(axis=2)
    return np.asarray(larger + (equal + 1) / 2, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Friedman:
    """Is any loss ranked apart from the others? nan where every preset ties all of them."""

    chi_square: float
    p: float
    permuted: bool
    """p counts permutations within presets, as the chi-square approximation is poor below 10 of them."""
    f: float
    f_p: float
    """Iman & Davenport's statistic, less conservative than chi-square."""


def friedman(scores: NDArray[np.float64]) -> Friedman:
    """Friedman's test with the correction for ties, and Iman & Davenport's F (Demsar 2006).

        chi2 = 12N/(k(k+1)) (sum_j R_j^2 - k(k+1)^2/4) / (1 - sum(t^3 - t)/(N(k^3 - k)))
        F = (N - 1) chi2 / (N(k - 1) - chi2),   df k - 1 and (k - 1)(N - 1)

    with R_j the mean ranks and t the sizes of the groups of ties.
    """
    ranks = rank(scores)
    blocks, k = ranks.shape
    chi_square = _chi_square(ranks)
    if math.isnan(chi_square):
        return Friedman(chi_square=math.nan, p=math.nan, permuted=False, f=math.nan, f_p=math.nan)
    left = blocks * (k - 1) - chi_square
    f = (blocks - 1) * chi_square / left if left > 1e-9 * chi_square else math.inf
    return Friedman(
        chi_square=chi_square,
        p=_permutation_p(ranks) if blocks < FEW_BLOCKS else chi_square_tail(chi_square, k - 1),
        permuted=blocks < FEW_BLOCKS,
        f=f,
        f_p=f_tail(f, k - 1, (k - 1) * (blocks - 1)) if math.isfinite(f) else 0.0,
    )


def _chi_square(ranks: NDArray[np.float64]) -> float:
    blocks, k = ranks.shape
    middle = (k + 1) / 2
    # Equal to the tie-corrected formula: ties shrink the sum of squares of the ranks about their middle.
    scatter = float(((ranks - middle) ** 2).sum())
    if scatter == 0 or blocks < 2:
        return math.nan
    between = float(((ranks.mean(axis=0) - middle) ** 2).sum())
    return float(blocks**2 * (k - 1) * between / scatter)


def _permutation_p(ranks: NDArray[np.float64]) -> float:
    # Within blocks everything but the sum of squared rank sums stays the same.
    observed = (ranks.sum(axis=0) ** 2).sum()
    generator = np.random.default_rng(0)
    shuffled = generator.permuted(np.broadcast_to(ranks, (DRAWS, *ranks.shape)), axis=2)
    drawn = (shuffled.sum(axis=1) ** 2).sum(axis=1)
    return (1 + int((drawn >= observed - 1e-9).sum())) / (1 + DRAWS)


def nemenyi_distance(k: int, blocks: int, alpha: float = 0.05) -> float:
    """Mean ranks further apart than this differ at level `alpha` (Nemenyi 1963).

    CD = q sqrt(k(k+1)/(6N)),   q = upper alpha point of the studentized range of k normals, over sqrt(2)
    """
    low, high = 0.0, 20.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if _range_distribution(middle, k) < 1 - alpha else (low, middle)
    return high / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * blocks))


def _range_distribution(q: float, k: int) -> float:
    """P(the largest of k standard normals exceeds the smallest by at most q), by the trapezium rule."""
    z = _PLACES
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return float(k * (z[1] - z[0]) * (density @ (_normal_cdf(z) - _normal_cdf(z - q)) ** (k - 1)))


def _normal_cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([math.erfc(-each / math.sqrt(2)) / 2 for each in x.tolist()])


def conover_p(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p of every pair of losses after Friedman, unadjusted [k, k] (Conover & Iman 1979).

        t_ij = |S_i - S_j| / sqrt(2N(A - C)/((N-1)(k-1)) (1 - chi2/(N(k-1)))),   df (N-1)(k-1)

    with rank sums S, A the sum of squared ranks and C = N k (k+1)^2 / 4.
    """
    ranks = rank(scores)
    blocks, k = ranks.shape
    sums = ranks.sum(axis=0)
    apart = np.abs(sums[:, None] - sums[None, :])
    chi_square = _chi_square(ranks)
    if math.isnan(chi_square):
        return np.ones((k, k))
    df = (blocks - 1) * (k - 1)
    scatter = float((ranks**2).sum()) - blocks * k * (k + 1) ** 2 / 4
    variance = 2 * blocks * scatter / df * max(0.0, 1 - chi_square / (blocks * (k - 1)))
    t = np.divide(apart, math.sqrt(variance), out=np.where(apart > 0, np.inf, 0.0), where=variance > 1e-12)
    return np.array([[2 * t_cdf(-each, df) for each in row] for row in t.tolist()])


def cliques(mean_ranks: NDArray[np.float64], distance: float) -> tuple[tuple[int, ...], ...]:
    """Maximal groups of two or more losses, in rank order, whose mean ranks all lie within `distance` [k]."""
    order = np.argsort(mean_ranks, kind="stable")
    found: list[tuple[int, ...]] = []
    reached = 0
    for first in range(order.size):
        last = first
        while last + 1 < order.size and mean_ranks[order[last + 1]] - mean_ranks[order[first]] <= distance:
            last += 1
        if last > first and last > reached:
            found.append(tuple(int(each) for each in order[first : last + 1]))
            reached = last
    return tuple(found)


def wins(scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each loss [k], in how many presets it is best, shared and outright; shared counts reward ties."""
    best = scores == scores.max(axis=1, keepdims=True)
    alone = best & (best.sum(axis=1, keepdims=True) == 1)
    return best.sum(axis=0), alone.sum(axis=0)


def profile(ratios: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Performance profile of one loss as steps (ratio, share of presets at or before it) (Dolan & More 2002).

    Args:
        ratios: cost over the lowest cost of any loss, per preset [N]; infinite ones are never reached.
    """
    found, counts = np.unique(ratios[np.isfinite(ratios)], return_counts=True)
    shares = np.cumsum(counts) / ratios.size
    return tuple((float(ratio), float(share)) for ratio, share in zip(found, shares, strict=True))
