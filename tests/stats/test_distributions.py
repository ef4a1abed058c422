import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as some
from scipy import special

from lossbench.stats import distributions as ours

degrees = some.one_of(some.integers(1, 400), some.floats(1.0, 2e5))


@given(some.floats(-60, 60), degrees)
def test_t(t, df):
    assert ours.t_cdf(t, df) == pytest.approx(special.stdtr(df, t), rel=1e-8)


@given(some.floats(1e-6, 1 - 1e-6), degrees)
def test_t_quantile(p, df):
    assert ours.t_quantile(p, df) == pytest.approx(special.stdtrit(df, p), rel=1e-9, abs=1e-9)


@given(some.floats(0.1, 60), degrees, some.floats(0, 50))
@example(39.0, 48387.0, 0.25)
def test_noncentral_t(t, df, shift):
    tails = special.nctdtr(df, shift, [-t, t])
    # scipy gives nan where a tail underflows: the one below, or for a t far beyond the shift the one above.
    below, above = np.where(np.isnan(tails), [0.0, float(t > shift)], tails)
    assert ours.noncentral_t_within(t, df, shift) == pytest.approx(above - below, abs=1e-9)


@given(some.floats(1e-6, 200), some.integers(1, 30), some.integers(1, 3000))
def test_f(f, upper, lower):
    assert ours.f_tail(f, upper, lower) == pytest.approx(special.fdtrc(upper, lower, f), rel=1e-9, abs=1e-300)


@given(some.integers(0, 500), some.integers(0, 500), some.floats(0.05, 0.95))
def test_binomial(hits, more, chance):
    expected = special.bdtr(hits, hits + more, chance)
    assert ours.binomial_cdf(hits, hits + more, chance) == pytest.approx(expected, rel=1e-9)


@given(some.floats(0, 500), some.integers(1, 300))
def test_chi_square(x, df):
    assert ours.chi_square_tail(x, df) == pytest.approx(special.chdtrc(df, x), rel=1e-9, abs=1e-14)


@given(some.floats(0.001, 0.999), degrees)
def test_chi_square_quantile(p, df):
    assert ours.chi_square_quantile(p, df) == pytest.approx(special.chdtri(df, 1 - p), rel=1e-8)


@pytest.mark.parametrize("p", [0.005, 0.5, 0.975])
def test_normal_quantile(p):
    assert ours.normal_quantile(p) == pytest.approx(special.ndtri(p), abs=1e-12)


def test_the_ends():
    assert (ours.t_cdf(math.inf, 3), ours.t_cdf(-math.inf, 3), ours.t_cdf(0.0, 3)) == (1.0, 0.0, 0.5)
    assert np.isnan([ours.t_cdf(math.nan, 3), ours.f_tail(math.nan, 2, 3), ours.chi_square_tail(math.nan, 2)]).all()
    assert (ours.chi_square_tail(0.0, 3), ours.f_tail(0.0, 2, 3)) == (1.0, 1.0)
