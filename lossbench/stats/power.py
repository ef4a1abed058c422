"""What a number of seeds can show, and how many it takes."""

import math
from functools import lru_cache

from lossbench.stats.distributions import noncentral_t_within, normal_quantile, t_quantile

__all__ = ["MOST_SEEDS", "detectable", "power", "seeds_needed"]

MOST_SEEDS = 1_000_000
"""Numbers of seeds beyond this one are not told apart."""


def power(delta: float, se: float, df: float, alpha: float = 0.05) -> float:
    """Chance that a two-sided t test at level `alpha` sees a true difference `delta`.

    P(|T| > t_{1 - alpha/2, df}),   T noncentral t with df and nc = delta / se
    """
    return 1 - noncentral_t_within(t_quantile(1 - alpha / 2, df), df, delta / se)


def detectable(se: float, df: float, alpha: float = 0.05, target: float = 0.8) -> float:
    """The smallest true difference seen with chance `target`: MDE80 at the default; nan without spread or data."""
    if not (se > 0 and df >= 1):
        return math.nan
    return _detectable_in_errors(df, alpha, target) * se


@lru_cache(maxsize=16384)
def _detectable_in_errors(df: float, alpha: float, target: float) -> float:
    """The shift at which power passes the target, by regula falsi with the Illinois rule."""
    low, below = 0.0, alpha - target
    high = t_quantile(1 - alpha / 2, df) + t_quantile(target, df)
    while (above := power(high, 1.0, df, alpha) - target) < 0:
        low, below, high = high, above, 2 * high
    side = 0
    for _ in range(100):
        middle = high - above * (high - low) / (above - below)
        value = power(middle, 1.0, df, alpha) - target
        if abs(value) < 1e-13 or high - low < 1e-10 * high:
            return middle
        if value < 0:
            low, below, above, side = middle, value, above / 2 if side < 0 else above, -1
        else:
            high, above, below, side = middle, value, below / 2 if side > 0 else below, 1
    return high


def seeds_needed(sd: float, delta: float, alpha: float = 0.05, target: float = 0.8, *, paired: bool = True) -> int:
    """The smallest number of seeds per loss, 3 or more, whose power at `delta` reaches `target`.

    Args:
        sd: standard deviation of the difference of two runs, > 0; the root of s_a^2 + s_b^2 where seeds do not pair.
        delta: difference to be seen, in the units of `sd`, > 0.
        paired: n - 1 degrees of freedom, else 2 (n - 1).
    Returns:
        The number of seeds; `MOST_SEEDS` where it takes that many or more.
    """

    def enough(n: int) -> bool:
        return delta >= _detectable_in_errors((n - 1) * (1 if paired else 2), alpha, target) * sd / math.sqrt(n)

    # A z test would need the square; a t test about z^2/2 more, half of that without pairs.
    z = normal_quantile(1 - alpha / 2)
    errors = (z + normal_quantile(target)) * sd / delta
    guess = errors * errors + z * z / (2 if paired else 4)
    if guess >= MOST_SEEDS:
        return MOST_SEEDS
    n = max(3, math.ceil(guess))
    while n > 3 and enough(n - 1):
        n -= 1
    while not enough(n):
        n += 1
    return n
