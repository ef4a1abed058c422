"""Wilcoxon's signed-rank test, exact with and without ties."""

import numpy as np
from numpy.typing import ArrayLike

from lossbench.stats.ranks import rank

__all__ = ["signed_rank_floor", "signed_rank_p"]


def signed_rank_p(differences: ArrayLike) -> float:
    """Two-sided p that the differences are symmetric about 0 (Wilcoxon 1945).

    Zeros are dropped, ties share their average rank, and the distribution of the rank sum over all sign patterns is
    counted out, so that the p is exact whatever the ties.

    Args:
        differences: one per preset [k].
    Returns:
        p in (0, 1]; 1 where nothing but zeros is left.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[d != 0]
    if not d.size:
        return 1.0
    # Twice the average ranks are whole numbers, so that sums can be counted in an array.
    doubled = np.rint(2 * rank(-np.abs(d)[None])[0]).astype(np.int64)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for each in doubled:
        ways[each:] += ways[:-each].copy()
        ways /= 2
    positive = int(doubled[d > 0].sum())
    tail = min(positive, int(doubled.sum()) - positive)
    return min(1.0, 2 * float(ways[: tail + 1].sum()))


def signed_rank_floor(k: int) -> float:
    """The smallest two-sided p that k differences can reach: 2 / 2^k."""
    return min(1.0, 2.0 ** (1 - k))
