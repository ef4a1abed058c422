import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats
from statsmodels.stats.power import TTestPower

from lossbench.stats import power
from lossbench.stats.paired import difference


@given(some.integers(3, 200), some.floats(0.01, 6))
def test_power_equals_statsmodels(n, errors):
    expected = TTestPower().power(effect_size=errors / math.sqrt(n), nobs=n, alpha=0.05)
    assert power.power(errors, 1.0, n - 1) == pytest.approx(expected, rel=1e-6)


@given(some.integers(2, 300), some.floats(0, 60), some.floats(0, 60))
def test_power_grows_with_the_difference(df, one, other):
    small, large = sorted((one, other))
    assert power.power(small, 1.0, df) <= power.power(large, 1.0, df) + 1e-9
    assert 0 <= power.power(large, 1.0, df) <= 1


def test_smallest_visible_difference(undecided):
    found = [power.detectable(1 / math.sqrt(n), n - 1) for n in (3, 4, 5, 6, 8, 10, 15, 20, 30)]
    assert found == pytest.approx([3.264, 2.128, 1.682, 1.435, 1.156, 0.996, 0.778, 0.660, 0.529], abs=5e-4)
    baseline, candidate = undecided
    estimate = difference(candidate - baseline)
    assert power.detectable(estimate.se, estimate.df) == pytest.approx(0.469, abs=5e-4)


@given(some.one_of(some.integers(1, 300), some.floats(1, 1e6)), some.floats(1e-5, 0.4), some.floats(0.5, 0.99))
def test_what_is_visible_has_just_the_wanted_power(df, alpha, target):
    seen = power.detectable(0.3, df, alpha, target)
    assert power.power(seen, 0.3, df, alpha) == pytest.approx(target, abs=1e-8)


@pytest.mark.parametrize(("se", "df"), [(0.0, 4), (math.nan, 4), (1.0, 0)])
def test_nothing_is_visible_without_spread_or_data(se, df):
    assert math.isnan(power.detectable(se, df))


@pytest.mark.parametrize(("sd", "expected"), [(0.3, [73, 20, 10, 6, 3]), (0.5, [199, 52, 24, 10, 5])])
def test_seeds_needed(sd, expected):
    assert [power.seeds_needed(sd, delta) for delta in (0.1, 0.2, 0.3, 0.5, 1.0)] == expected


def test_seeds_needed_unpaired_equals_statsmodels():
    from statsmodels.stats.power import TTestIndPower

    sd, delta = 0.4, 0.2
    expected = TTestIndPower().solve_power(effect_size=delta / sd, alpha=0.05, power=0.8)
    assert power.seeds_needed(math.sqrt(2) * sd, delta, paired=False) == math.ceil(expected)


def test_seeds_needed_at_the_ends():
    assert power.seeds_needed(1e-9, 0.2) == 3
    assert power.seeds_needed(1.0, 1e-9) == power.MOST_SEEDS
    assert power.seeds_needed(0.4, 1e-300) == power.MOST_SEEDS


def test_seeds_for_the_gain_of_one_image_in_two_thousand():
    sds = (0.05, 0.08, 0.10, 0.12, 0.15)
    assert [power.seeds_needed(math.sqrt(2) * sd, 0.067) for sd in sds] == [11, 25, 37, 53, 81]
    assert power.seeds_needed(math.sqrt(2) * 0.10, 0.067, target=0.9) == 49


def test_power_of_a_simulated_test():
    rng = np.random.default_rng(0)
    gains = rng.normal(0.5, 1, size=(4000, 10))
    seen = np.mean(stats.ttest_1samp(gains, 0, axis=1).pvalue < 0.05)
    assert power.power(0.5, 1 / math.sqrt(10), 9) == pytest.approx(seen, abs=0.025)
