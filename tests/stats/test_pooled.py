import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some
from statsmodels.stats.meta_analysis import combine_effects

from lossbench.stats.pooled import random_effects

samples = some.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(samples, some.integers(3, 12), some.floats(0.2, 1))
def test_equals_statsmodels(rng, k, disagreement):
    errors = rng.uniform(0.1, 0.4, k)
    effects = 0.3 + rng.normal(0, disagreement, k) + rng.normal(0, 1, k) * errors
    ours = random_effects(effects, errors)
    # statsmodels lets tau^2 go below 0, where DerSimonian and Laird stop at it.
    assume(ours.tau > 0)
    theirs = combine_effects(effects, errors**2, method_re="dl")
    assert ours.estimate.value == pytest.approx(theirs.mean_effect_re, rel=1e-6)
    assert ours.tau**2 == pytest.approx(theirs.tau2, rel=1e-6, abs=1e-12)
    assert ours.q == pytest.approx(theirs.q, rel=1e-6)
    assert ours.i_squared == pytest.approx(max(0, theirs.i2), rel=1e-6, abs=1e-12)
    # statsmodels leaves the variance factor of Hartung and Knapp without a floor.
    assert ours.estimate.se == pytest.approx(max(theirs.sd_eff_w_re_hksj, theirs.sd_eff_w_re), rel=1e-6)
    assert ours.estimate.df == k - 1


@pytest.mark.parametrize(
    ("name", "column", "mean", "interval"),
    [
        ("cifar100", 1, 0.340, (0.143, 0.565)),
        ("cifar100", 2, 0.340, (0.143, 0.565)),
        ("cifar100", 3, 0.291, (0.032, 0.532)),
        ("cinic10", 3, None, (0.269, 0.499)),
        ("imagenet", 3, None, (0.693, 0.861)),
        ("lstm", 3, None, (-0.039, 0.951)),
    ],
)
def test_published_tables(printed, name, column, mean, interval):
    table = printed[name]
    found = random_effects(table.gains(column), table.errors(column))
    assert found.estimate.interval() == pytest.approx(interval, abs=1e-3)
    if mean is not None:
        assert table.gains(column).mean() == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize(("column", "q"), [(1, 0.57), (3, 1.31)])
def test_too_even_gains_show_in_cochrans_q(printed, column, q):
    table = printed["cifar100"]
    assert random_effects(table.gains(column), table.errors(column)).q == pytest.approx(q, abs=0.01)
