"""Exponentials and logarithms of eight numbers at once.

In float32 they are polynomials, within 1.1 units in the last place, since a library's function takes one number at a
time and would take a third of a step. In float64, which only checks compute in, they are the library's.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from lossbench.cohort._vectors import (
    Vector,
    by_library,
    fma,
    maximum,
    parts,
    rounded,
    splat,
    times_power_of_two,
    where_equal,
)

__all__ = ["exp", "log"]

_helper = njit(error_model="numpy")

_PER_LN2 = np.float32(1.4426950408889634)
# ln 2 in two parts, the first short enough that its products with exponents are exact.
_LN2, _LN2_REST = np.float32(0.693359375), np.float32(-2.1219444005469057e-4)
_VANISHES = np.float32(-110.0)

# Chebyshev fits of (e^r - 1 - r) / r^2 where |r| <= ln(2) / 2, and of (2 atanh(s) - 2 s) / s^3 by s^2 where
# s = (m - 1) / (m + 1) and 1 / sqrt(2) <= m <= sqrt(2).
_E4, _E3, _E2, _E1 = map(np.float32, (1.3926926614021907e-3, 8.363773874405574e-3, 4.166655011030512e-2, 0.16666573382))
_L2, _L1, _L0 = map(np.float32, (0.29590317357160395, 0.39988550988935756, 0.6666668560327356))
_ZERO, _HALF, _LOG_OF_ZERO = np.float32(0), np.float32(0.5), np.float32(-np.inf)


def exp(values):
    """e to the power of numbers that are at most 0."""
    raise NotImplementedError


def log(values):
    """Natural logarithms of numbers that are at least 0."""
    raise NotImplementedError


@overload(exp)
def _exp(values):
    if not isinstance(values, Vector):
        return None
    if values.dtype == types.float32:
        return lambda values: _exp_of_singles(values)
    return lambda values: by_library(values, "exp")


@overload(log)
def _log(values):
    if not isinstance(values, Vector):
        return None
    if values.dtype == types.float32:
        return lambda values: _log_of_singles(values)
    return lambda values: by_library(values, "log")


@_helper
def _exp_of_singles(values):
    values = maximum(values, splat(_VANISHES))
    count = rounded(values * splat(_PER_LN2))
    rest = fma(count, splat(-_LN2_REST), fma(count, splat(-_LN2), values))
    curve = fma(rest, splat(_E4), splat(_E3))
    curve = fma(rest, curve, splat(_E2))
    curve = fma(rest, curve, splat(_E1))
    curve = fma(rest, curve, splat(_HALF))
    return times_power_of_two(fma(curve * rest, rest, rest) + splat(np.float32(1)), count)


@_helper
def _log_of_singles(values):
    mantissa, exponent = parts(values)
    beyond = mantissa - splat(np.float32(1))
    slope = beyond / (beyond + splat(np.float32(2)))
    square = slope * slope
    curve = fma(square, fma(square, splat(_L2), splat(_L1)), splat(_L0))
    half_square = splat(_HALF) * beyond * beyond
    rest = fma(slope, fma(square, curve, half_square), exponent * splat(_LN2_REST))
    made = fma(exponent, splat(_LN2), beyond - (half_square - rest))
    # NaN stays.
    made = fma(values, splat(_ZERO), made)
    return where_equal(values, splat(_ZERO), splat(_LOG_OF_ZERO), made)
