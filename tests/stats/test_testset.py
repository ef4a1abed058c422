import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar

from lossbench.stats.paired import difference
from lossbench.stats.testset import crossed, largest_discordance, mcnemar_p, seed_sd


def table(rng, seeds, rows, row_sd=0.1, seed_sd=0.0):
    chance = 0.75 + row_sd * rng.normal(size=rows)
    right = [
        rng.random((seeds, rows)) < np.clip(chance + gain + seed_sd * rng.normal(size=(seeds, 1)), 0, 1)
        for gain in (0.0, 0.02)
    ]
    return right[1].astype(float) - right[0]


def test_mean_squares_equal_statsmodels():
    seeds, rows = 4, 30
    d = table(np.random.default_rng(2), seeds, rows, seed_sd=0.2)
    long = pd.DataFrame(
        {"d": d.ravel(), "seed": np.repeat(np.arange(seeds), rows), "row": np.tile(np.arange(rows), seeds)}
    )
    squares = anova_lm(ols("d ~ C(seed) + C(row)", long).fit())
    ms_seed, ms_row, ms_res = squares["mean_sq"]
    found = crossed(d)
    assert found.new_seeds.se == pytest.approx(math.sqrt(ms_seed / d.size))
    assert found.new_test_set.se == pytest.approx(math.sqrt((ms_row + max(0, ms_seed - ms_res)) / d.size))
    assert found.independent.se == pytest.approx(math.sqrt(ms_res / d.size))
    assert (found.f, found.f_p) == pytest.approx((squares["F"].iloc[0], squares["PR(>F)"].iloc[0]))


def test_new_seeds_are_the_paired_t_test():
    d = table(np.random.default_rng(0), 5, 200)
    assert crossed(d).new_seeds.p == pytest.approx(difference(d.mean(axis=1)).p)


def test_a_new_test_set_is_covered_at_the_level_promised():
    rng = np.random.default_rng(1)
    gains = rng.normal(0.02, 0.3, size=(300, 400))
    hits = []
    for row_gains in gains:
        right = rng.random((4, 400)) < 0.5 + row_gains / 2
        wrong = rng.random((4, 400)) < 0.5 - row_gains / 2
        low, high = crossed(right.astype(float) - wrong).new_test_set.interval()
        # Clipped probabilities leave the mean gain what it was to within a thousandth.
        hits.append(low <= 0.02 <= high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.035)


def test_identical_runs_have_no_error():
    found = crossed(np.zeros((3, 50)))
    assert (found.new_seeds.value, found.new_seeds.se, found.new_test_set.se) == (0, 0, 0)
    assert math.isnan(found.f)


@pytest.mark.parametrize(("gained", "lost"), [(50, 30), (3, 0), (0, 0), (7, 7), (1, 9)])
def test_mcnemar_equals_statsmodels(gained, lost):
    expected = mcnemar([[5, gained], [lost, 5]], exact=True).pvalue if gained + lost else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(expected)


def test_fourteen_images_net():
    assert mcnemar_p(50, 30) == pytest.approx(0.0330, abs=5e-5)
    assert [mcnemar_p((d + 14) // 2, (d - 14) // 2) for d in (100, 200, 500)] == pytest.approx(
        [0.19, 0.36, 0.56], abs=0.005
    )
    assert largest_discordance(14) == 44
    assert largest_discordance(5) == 0
    net = 300
    limit = largest_discordance(net)
    halves = [((d + net) // 2, (d - net) // 2) for d in (limit, limit + 2)]
    assert mcnemar_p(*halves[0]) < 0.05 <= mcnemar_p(*halves[1])


@pytest.mark.parametrize(
    ("error", "rows", "points"),
    [(0.05, 10_000, 0.16), (0.23, 10_000, 0.34), (0.30, 50_000, 0.17), (0.0414, 20_800, 0.10), (0.15, 90_000, 0.09)],
)
def test_rule_of_thumb(error, rows, points):
    assert 100 * seed_sd(error, rows) == pytest.approx(points, abs=0.005)
