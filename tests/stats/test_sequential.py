import numpy as np
import pytest
from scipy import stats

from lossbench.stats.sequential import look_schedule, nominal_level


@pytest.mark.parametrize(("most", "looks"), [(3, (3,)), (5, (5,)), (10, (5, 8, 10)), (30, (5, 8, 12, 18, 27, 30))])
def test_looks_lie_further_and_further_apart(most, looks):
    assert look_schedule(most) == looks


def test_a_single_look_keeps_its_level():
    assert nominal_level((10,)) == 0.05


def test_pocock_levels_of_large_samples():
    # Jennison & Turnbull 2000, table 2.1: nominal levels 0.0294 and 0.0158 for two and five equally spaced looks.
    assert nominal_level((40, 80)) == pytest.approx(0.0294, abs=1.5e-3)
    assert nominal_level((20, 40, 60, 80, 100)) == pytest.approx(0.0158, abs=1.5e-3)


def test_error_over_all_looks():
    looks = (5, 8, 12)
    level = nominal_level(looks)
    gains = np.random.default_rng(7).normal(0, 3, size=(20_000, 12))
    p = [stats.ttest_1samp(gains[:, :n], 0, axis=1).pvalue for n in looks]
    assert (np.min(p, axis=0) < level).mean() == pytest.approx(0.05, abs=0.005)
