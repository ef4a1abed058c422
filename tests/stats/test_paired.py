import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from lossbench.stats import paired
from lossbench.stats.estimate import Estimate

samples = some.integers(0, 2**32 - 1).map(np.random.default_rng)


def draw(rng, n):
    baseline = rng.normal(0.7, 0.01, n)
    return baseline, 0.5 * baseline + rng.normal(0.36, 0.01, n)


def test_worked_example(undecided):
    baseline, candidate = undecided
    gains = candidate - baseline
    found = paired.difference(gains)
    assert (found.value, paired.spread(gains), found.se, found.t, found.p) == pytest.approx(
        (0.302, 0.2787, 0.1246, 2.423, 0.0725), abs=1e-4
    )
    assert found.interval() == pytest.approx((-0.044, 0.648), abs=5e-4)
    assert paired.welch(baseline, candidate).p == pytest.approx(0.0705, abs=5e-5)
    assert paired.sign_flip_p(gains) == 0.125
    assert paired.correlation(baseline, candidate) == pytest.approx(0.259, abs=5e-4)
    assert paired.hedges(gains) == pytest.approx(0.865, abs=5e-4)
    assert paired.superiority(baseline, candidate) == 0.84


@given(samples, some.integers(3, 40))
def test_t_tests_equal_scipy(rng, n):
    baseline, candidate = draw(rng, n)
    ours, theirs = paired.difference(candidate - baseline), stats.ttest_rel(candidate, baseline)
    assert (ours.t, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-6)
    assert ours.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)), rel=1e-6)
    more = rng.normal(0.7, 0.03, n + 2)
    ours, theirs = paired.welch(more, candidate), stats.ttest_ind(candidate, more, equal_var=False)
    assert (ours.t, ours.df, ours.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue), rel=1e-6)
    assert ours.interval() == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-6)


@given(samples, some.integers(3, 30), some.floats(0.001, 0.1))
def test_equivalence_equals_statsmodels_and_the_ninety_percent_interval(rng, n, margin):
    from statsmodels.stats.weightstats import ttost_paired

    baseline, candidate = draw(rng, n)
    found = paired.difference(candidate - baseline)
    theirs, _, _ = ttost_paired(candidate, baseline, -margin, margin)
    assert found.equivalence_p(margin) == pytest.approx(theirs, rel=1e-6, abs=1e-15)
    low, high = found.interval(0.9)
    assert (found.equivalence_p(margin) < 0.05) == (-margin < low and high < margin)


@given(samples, some.integers(1, 9), some.booleans())
def test_sign_flips_equal_plain_enumeration(rng, n, coarse):
    gains = rng.normal(0.3, 1, n)
    gains = np.round(gains) / 10 if coarse else gains
    sums = [
        abs(sum(s * g for s, g in zip(signs, gains, strict=True))) for signs in itertools.product((-1, 1), repeat=n)
    ]
    exact = np.mean([each >= abs(gains.sum()) - 1e-12 for each in sums])
    assert paired.sign_flip_p(gains) == exact
    assert exact >= paired.sign_flip_floor(n)


def test_sign_flips_equal_scipy_at_twenty_and_draw_beyond():
    gains = np.random.default_rng(3).normal(0.4, 1, 20)
    sampled = stats.permutation_test((gains,), np.mean, permutation_type="samples", n_resamples=50_000, rng=1)
    assert paired.sign_flip_p(gains) == pytest.approx(sampled.pvalue, abs=0.005)
    beyond = np.append(gains, 0.0)
    assert paired.sign_flip_p(beyond) == pytest.approx(paired.sign_flip_p(gains), abs=0.005)
    assert paired.sign_flip_p(np.ones(30)) == paired.sign_flip_floor(30)
    assert [paired.sign_flip_floor(n) for n in (3, 5, 10)] == [0.25, 0.0625, 2 / 2**10]


def test_hedges_correction():
    gains = {n: np.arange(n, dtype=float) for n in (5, 10)}
    factors = {n: paired.hedges(g) * paired.spread(g) / g.mean() for n, g in gains.items()}
    assert factors == pytest.approx({5: 0.798, 10: 0.914}, abs=5e-4)


def test_superiority_counts_ties_as_half():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 4.0])
    assert paired.superiority(a, b) == pytest.approx(stats.mannwhitneyu(b, a).statistic / 9)


@given(samples, some.integers(3, 20))
def test_correlation_equals_scipy(rng, n):
    baseline, candidate = draw(rng, n)
    expected = stats.pearsonr(baseline, candidate).statistic
    assert paired.correlation(baseline, candidate) == pytest.approx(expected, rel=1e-6)


def test_interval_of_a_spread():
    assert paired.sd_interval(1, 4) == pytest.approx((0.60, 2.87), abs=0.005)


@pytest.mark.parametrize("gains", [np.zeros(4), np.full(4, 0.01)])
def test_no_spread_leaves_the_test_undefined(gains):
    found = paired.difference(gains)
    undefined = [found.t, found.p, found.equivalence_p(0.1), paired.hedges(gains)]
    assert np.isnan(undefined).all()
    assert np.isnan(paired.welch(np.zeros(3), gains).p)
    assert np.isnan(paired.correlation(gains, np.arange(4.0)))


def test_one_value_has_no_spread():
    assert np.isnan(
        [paired.spread(np.ones(1)), paired.hedges(np.ones(2)), paired.correlation(np.ones(1), np.ones(1))]
    ).all()


def test_estimate_of_an_infinite_sample_is_normal():
    assert Estimate(value=1.96, se=1.0, df=1e9).p == pytest.approx(0.05, abs=1e-4)


def test_equal_differences_have_no_spread_however_they_round():
    gains = np.array([0.95 - 0.92, 0.93 - 0.90, 0.97 - 0.94, 0.91 - 0.88])
    assert gains.std(ddof=1) > 0
    assert paired.spread(gains) == 0.0
    assert paired.spread(np.array([1e-9, 2e-9, 4e-9])) == pytest.approx(np.std([1e-9, 2e-9, 4e-9], ddof=1))
