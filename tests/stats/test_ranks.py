import numpy as np
import pytest
import scikit_posthocs
from hypothesis import assume, given
from hypothesis import strategies as some
from scipy import stats

from lossbench.stats import ranks

samples = some.integers(0, 2**32 - 1).map(np.random.default_rng)


def table(rng, blocks, k, coarse=False):
    scores = rng.normal(size=(blocks, k)) + np.linspace(0, 0.5, k)
    return scores.round(0 if coarse else 9)


@given(samples, some.integers(1, 12), some.integers(2, 8))
def test_ranks_equal_scipy_and_add_up(rng, blocks, k):
    scores = table(rng, blocks, k, coarse=True)
    found = ranks.rank(scores)
    assert np.array_equal(found, stats.rankdata(-scores, axis=1))
    assert found.mean(axis=0).sum() == pytest.approx(k * (k + 1) / 2)


@given(samples, some.integers(10, 30), some.integers(3, 7), some.booleans())
def test_friedman_equals_scipy(rng, blocks, k, coarse):
    scores = table(rng, blocks, k, coarse)
    assume(any(len(set(row)) > 1 for row in scores))
    ours, theirs = ranks.friedman(scores), stats.friedmanchisquare(*scores.T)
    assert (ours.chi_square, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-6)
    f = (blocks - 1) * ours.chi_square / (blocks * (k - 1) - ours.chi_square)
    assert (ours.f, ours.f_p) == pytest.approx((f, stats.f.sf(f, k - 1, (k - 1) * (blocks - 1))), rel=1e-6)
    assert not ours.permuted


def test_demsars_worked_example():
    # Demsar 2006, table 6: AUC of four decision-tree learners on 14 data sets.
    scores = np.array(
        [[0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
         [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
         [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
         [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
         [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970]]
    )  # fmt: skip
    assert ranks.rank(scores).mean(axis=0) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # The printed 9.28 and 3.69 leave out the correction for the three rows with ties.
    blocks, k = scores.shape
    uncorrected = 12 * blocks / (k * (k + 1)) * ((ranks.rank(scores).mean(axis=0) ** 2).sum() - k * (k + 1) ** 2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.005)
    assert ranks.friedman(scores).chi_square == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)
    assert ranks.nemenyi_distance(4, 14) == pytest.approx(1.254, abs=5e-4)


def test_published_table(printed):
    scores = printed["cifar100"].mean
    found = ranks.friedman(scores)
    mean_ranks = ranks.rank(scores).mean(axis=0)
    assert mean_ranks == pytest.approx([4.0, 1.875, 1.875, 2.25])
    assert found.chi_square == pytest.approx(16.5)
    assert found.permuted
    assert found.p == pytest.approx(2e-4, abs=2e-4)
    assert ranks.nemenyi_distance(4, 8) == pytest.approx(1.658, abs=5e-4)
    assert ranks.cliques(mean_ranks, ranks.nemenyi_distance(4, 8)) == ((1, 2, 3),)
    shared, outright = ranks.wins(scores)
    assert (list(shared), list(outright)) == ([0, 5, 5, 3], [0, 0, 0, 3])


def test_few_blocks_are_permuted_exactly_enough():
    scores = table(np.random.default_rng(5), 3, 3)
    import itertools

    orders = list(itertools.permutations((1, 2, 3)))
    observed = (ranks.rank(scores).sum(axis=0) ** 2).sum()
    every = [(np.sum(rows, axis=0) ** 2).sum() >= observed for rows in itertools.product(orders, repeat=3)]
    assert ranks.friedman(scores).p == pytest.approx(np.mean(every), abs=0.015)


def test_losses_that_always_tie_are_not_told_apart():
    scores = np.ones((5, 3))
    assert np.isnan([ranks.friedman(scores).chi_square, ranks.friedman(scores).p]).all()
    assert (ranks.conover_p(scores) == 1).all()


def test_a_perfect_order_is_the_surest_there_is():
    scores = np.tile([3.0, 2.0, 1.0], (12, 1))
    found = ranks.friedman(scores)
    assert (found.f, found.f_p) == (np.inf, 0.0)
    assert (ranks.conover_p(scores) == np.eye(3)).all()


@pytest.mark.parametrize("alpha", [0.05, 0.1])
@pytest.mark.parametrize("k", range(2, 11))
def test_nemenyi_equals_the_studentized_range(k, alpha):
    expected = stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * 14))
    assert ranks.nemenyi_distance(k, 14, alpha) == pytest.approx(expected, rel=1e-6)


def test_nemenyi_constants():
    found = [ranks.nemenyi_distance(k, 1) / np.sqrt(k * (k + 1) / 6) for k in range(2, 11)]
    assert found == pytest.approx([1.960, 2.344, 2.569, 2.728, 2.850, 2.948, 3.031, 3.102, 3.164], abs=1e-3)


@given(samples, some.integers(4, 15), some.integers(3, 6), some.booleans())
def test_conover_equals_scikit_posthocs(rng, blocks, k, coarse):
    scores = table(rng, blocks, k, coarse)
    assume(any(len(set(row)) > 1 for row in scores))
    # A perfect order leaves scikit-posthocs dividing by zero.
    assume(ranks.friedman(scores).chi_square < blocks * (k - 1) - 1e-9)
    expected = scikit_posthocs.posthoc_conover_friedman(scores).to_numpy()
    assert ranks.conover_p(scores) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(samples, some.integers(2, 8), some.floats(0, 4))
def test_cliques_cover_every_close_pair_and_no_other(rng, k, distance):
    mean_ranks = rng.uniform(1, k, k)
    found = ranks.cliques(mean_ranks, distance)
    together = {frozenset((a, b)) for clique in found for a in clique for b in clique if a != b}
    close = {frozenset((a, b)) for a in range(k) for b in range(a) if abs(mean_ranks[a] - mean_ranks[b]) <= distance}
    assert together == close
    assert not any(set(one) < set(other) for one in found for other in found)


def test_profile_steps():
    assert ranks.profile(np.array([1.0, 2.0, 1.0, np.inf])) == ((1.0, 0.5), (2.0, 0.75))
