"""Vectors of exponentials and logarithms beside NumPy's in more digits."""

import numpy as np
import pytest
from numba import njit

from lossbench.cohort._elementary import exp, log
from lossbench.cohort._vectors import LANES, load, store

SMALLEST = 2.0**-149
"""The smallest float32 above 0."""


@njit(error_model="numpy")
def exponentials(values, out):
    for at in range(0, len(values), LANES):
        store(out, at, exp(load(values, at)))


@njit(error_model="numpy")
def logarithms(values, out):
    for at in range(0, len(values), LANES):
        store(out, at, log(load(values, at)))


def errors(function, values: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """How many units in the last place each result is off."""
    made = np.empty_like(values)
    function(values, made)
    return np.abs((made - exact) / np.spacing(np.abs(exact).astype(values.dtype)))


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1.1), (np.float64, 0.6)])
def test_exponentials_are_exact_to_rounding_down_to_the_smallest_number(dtype, bound):
    values = -np.concatenate([np.geomspace(1e-10, 103.2, 79_992), np.arange(8) * np.log(2) / 2]).astype(dtype)
    assert errors(exponentials, values, np.exp(values.astype(np.longdouble))).max() < bound


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 0.9), (np.float64, 0.6)])
def test_logarithms_are_exact_to_rounding_around_1_and_down_to_the_smallest_number(dtype, bound):
    values = np.concatenate([np.geomspace(SMALLEST, 1e4, 40_000), np.linspace(0.5, 2, 40_000)]).astype(dtype)
    values = values[values != 1]
    values = values[: len(values) // LANES * LANES]
    assert errors(logarithms, values, np.log(values.astype(np.longdouble))).max() < bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ends_are_those_of_the_functions(dtype):
    values = np.array([0, -0.0, -1e4, -np.inf, np.nan, -1e-45, -0.0, 0], dtype=dtype)
    made = np.empty_like(values)
    exponentials(values, made)
    np.testing.assert_array_equal(made, np.array([1, 1, 0, 0, np.nan, 1, 1, 1], dtype=dtype))
    values = np.array([0, -0.0, 1, np.nan, 1, 1, 0, 1], dtype=dtype)
    logarithms(values, made)
    np.testing.assert_array_equal(made, np.array([-np.inf, -np.inf, 0, np.nan, 0, 0, -np.inf, 0], dtype=dtype))
