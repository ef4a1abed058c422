import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from lossbench.stats.signedrank import signed_rank_floor, signed_rank_p

samples = some.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(samples, some.integers(1, 30))
def test_equals_scipy_without_ties(rng, k):
    d = rng.normal(0.3, 1, k)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-6)


@given(samples, some.integers(1, 9))
def test_equals_enumeration_with_ties_and_zeros(rng, k):
    d = rng.integers(-2, 4, k).astype(float)
    kept = d[d != 0]
    weights = stats.rankdata(np.abs(kept))
    sums = np.array([np.dot(signs, weights) for signs in itertools.product((0, 1), repeat=kept.size)])
    observed = weights[kept > 0].sum()
    expected = min(1.0, 2 * min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean()))
    assert signed_rank_p(d) == pytest.approx(expected)


def test_published_tables(printed):
    eight = [signed_rank_p(printed["cifar100"].gains(column)) for column in (1, 2, 3)]
    assert eight == [signed_rank_floor(8)] * 3 == pytest.approx([0.0078] * 3, abs=5e-5)
    everything = np.concatenate([table.gains(3) for table in printed.values()])
    assert everything.size == 28
    assert signed_rank_p(everything) == signed_rank_floor(28)


def test_one_preset_can_show_nothing():
    assert signed_rank_p([0.4]) == signed_rank_floor(1) == 1.0


def test_nothing_but_zeros():
    assert signed_rank_p([0.0, 0.0]) == 1.0
