import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from statsmodels.stats.multitest import multipletests

from lossbench.stats.multiplicity import adjust, simultaneous_level

p_values = some.lists(some.floats(0, 1), min_size=1, max_size=12)


@given(p_values, some.sampled_from([("holm", "holm"), ("bh", "fdr_bh")]))
def test_equals_statsmodels(p, names):
    ours, theirs = names
    assert adjust(p, ours) == pytest.approx(multipletests(p, method=theirs)[1], rel=1e-6, abs=1e-300)


def test_worked_example():
    assert adjust([0.0725, 0.00019, 0.0132], "holm") == pytest.approx([0.0725, 0.00057, 0.0264])


def test_none_leaves_everything_alone():
    assert list(adjust([0.04, 0.001], "none")) == [0.04, 0.001]
    assert simultaneous_level(0.05, 3, "none") == 0.95
    assert simultaneous_level(0.05, 5, "holm") == 0.99


@pytest.mark.parametrize("method", ["holm", "bh", "none"])
def test_an_untestable_hypothesis_still_counts(method):
    assert adjust([0.01, np.nan], method) == pytest.approx(adjust([0.01, 1.0], method))
