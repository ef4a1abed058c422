"""Distribution functions of Student's t, F, chi-square, the binomial and the normal, central and, for t, noncentral.

scipy.special has them all, but importing it takes as long as everything else `lossbench compare` does; tests hold the
two equal to eight digits.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

__all__ = [
    "binomial_cdf",
    "chi_square_quantile",
    "chi_square_tail",
    "f_tail",
    "noncentral_t_within",
    "normal_quantile",
    "t_cdf",
    "t_quantile",
]

_TINY = 1e-300
_STEPS = 10_000

normal_quantile = NormalDist().inv_cdf


def t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t: half the regularised incomplete beta function of df / (df + t^2)."""
    if math.isnan(t) or math.isnan(df):
        return math.nan
    tail = _beta(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t)) / 2 if abs(t) < 1e150 else 0.0
    return tail if t < 0 else 1 - tail


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, for 0 < p < 1."""
    if p <= 0.5:
        return -t_quantile(1 - p, df) if p < 0.5 else 0.0
    log_peak = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    # Fisher & Cornish's expansion about the normal quantile, then Newton, which a concave function keeps in bounds.
    z = normal_quantile(p)
    t = z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    for _ in range(_STEPS):
        density = math.exp(log_peak - (df + 1) / 2 * math.log1p(t * t / df))
        step = (t_cdf(-t, df) - (1 - p)) / density
        t += step
        if abs(step) <= 1e-12 * t:
            break
    return t


def noncentral_t_within(t: float, df: float, shift: float) -> float:
    """P(|T| <= t) for the noncentral t (Z + shift) / sqrt(V / df) of a standard normal Z and chi-square V.

        sum_j Poisson(j; shift^2/2) I_x(j + 1/2, df/2),   x = t^2/(t^2 + df)

    All terms are positive; the incomplete beta functions follow from the first by a recurrence.
    """
    mean = shift * shift / 2
    # Ten standard deviations below its mean a Poisson variable has no mass left.
    first = max(0, math.floor(mean - 10 * math.sqrt(mean)))
    a, b, x, y = first + 0.5, df / 2, t * t / (t * t + df), df / (t * t + df)
    weight = math.exp(first * math.log(mean) - mean - math.lgamma(first + 1)) if first else math.exp(-mean)
    beta = _beta(a, b, x, y)
    fall = math.exp(a * math.log(x) + b * math.log(y) + math.lgamma(a + b) - math.lgamma(a + 1) - math.lgamma(b))
    total = weight * beta
    for j in range(first + 1, first + _STEPS):
        beta = max(0.0, beta - fall)
        fall *= x * (a + b) / (a + 1)
        a += 1
        weight *= mean / j
        total += weight * beta
        if j > mean and weight * beta <= 1e-17:
            break
    return total


def f_tail(f: float, upper: float, lower: float) -> float:
    """P(F >= f) with `upper` and `lower` degrees of freedom."""
    whole = lower + upper * f
    return math.nan if math.isnan(f) else _beta(lower / 2, upper / 2, lower / whole, upper * f / whole)


def binomial_cdf(hits: int, n: int, chance: float) -> float:
    """P(X <= hits) for X of n trials that each succeed with that chance."""
    return 1.0 if hits >= n else _beta(n - hits, hits + 1, 1 - chance, chance)


def chi_square_tail(x: float, df: float) -> float:
    """P(X >= x): the regularised upper incomplete gamma function of df/2 and x/2."""
    return math.nan if math.isnan(x) else _upper_gamma(df / 2, x / 2)


@lru_cache(maxsize=4096)
def chi_square_quantile(p: float, df: float) -> float:
    """The x with P(X <= x) = p, for 0 < p < 1."""
    return _solve(lambda x: chi_square_tail(x, df) - (1 - p))


def _solve(falling: Callable[[float], float]) -> float:
    """The positive place where a falling function passes 0, by halving."""
    low, high = 0.0, 1.0
    while falling(high) > 0:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high


def _beta(a: float, b: float, x: float, y: float) -> float:
    """Regularised incomplete beta function I_x(a, b), by Lentz's continued fraction; y = 1 - x keeps its own digits."""
    if x <= 0 or y <= 0:
        return float(y <= 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, y, x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + even * d or _TINY)
        c = 1 + even / c or _TINY
        change = c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + odd * d or _TINY)
        c = 1 + odd / c or _TINY
        value *= change * c * d
        if abs(change * c * d - 1) < 3e-16:
            break
    return math.exp(log_front) * value / a


def _upper_gamma(a: float, x: float) -> float:
    """Regularised upper incomplete gamma function Q(a, x), by its series below a + 1 and Lentz's fraction above."""
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, _STEPS):
            term *= x / (a + n)
            total += term
            if term <= 1e-17 * total:
                break
        return 1 - front * total
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for n in range(1, _STEPS):
        term = -n * (n - a)
        b += 2
        d = 1 / (term * d + b or _TINY)
        c = b + term / c or _TINY
        value *= c * d
        if abs(c * d - 1) < 3e-16:
            break
    return front * value
