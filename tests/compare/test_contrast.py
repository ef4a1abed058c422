import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from statsmodels.stats.multitest import multipletests

from lossbench.compare.contrast import contrasts
from lossbench.compare.values import Arm, Contrast, Rules, Verdict

POINTS = Rules(min_effect=0.2)


def columns(mean: float, sd: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two columns whose paired difference has exactly this mean and standard deviation."""
    rng = np.random.default_rng(n)
    shape = rng.normal(size=n)
    shape = (shape - shape.mean()) / shape.std(ddof=1)
    baseline = 77 + rng.normal(0, 0.3, n)
    return baseline, baseline + mean + sd * shape


def arm(loss, values, first=0, **lost):
    return Arm(loss=loss, values={first + seed: float(value) for seed, value in enumerate(values)}, **lost)


def one(baseline, candidate, rules=POINTS, sign=1) -> Contrast:
    (found,) = contrasts(arm("ce", baseline), [arm("new", candidate)], sign=sign, rules=rules)
    return found


UNDECIDED = ([77.31, 77.02, 77.58, 77.11, 77.44], [77.69, 77.35, 77.40, 77.62, 77.91])


def test_worked_example():
    found = one(*UNDECIDED)
    assert found.verdict is Verdict.UNDERPOWERED
    assert found.seeds_needed == 18
    assert found.seeds_low < 18 < found.seeds_high
    assert (found.gain, found.low, found.high) == pytest.approx((0.302, -0.044, 0.648), abs=5e-4)
    assert (found.joint_low, found.joint_high) == (found.low, found.high)
    assert (found.p, found.p_adjusted, found.flip_p, found.flip_floor) == pytest.approx(
        (0.0725, 0.0725, 0.125, 0.0625), abs=5e-5
    )
    assert (found.hedges, found.superiority, found.correlation, found.detectable) == pytest.approx(
        (0.865, 0.84, 0.259, 0.469), abs=5e-4
    )


@pytest.mark.parametrize(
    ("mean", "sd", "n", "margin", "verdict", "interval", "p"),
    [
        (0.358, 0.1552, 10, 0.2, Verdict.BETTER, (0.247, 0.469), 4.6e-5),
        (-0.262, 0.0507, 5, 0.2, Verdict.WORSE, (-0.325, -0.199), 3.2e-4),
        (0.002, 0.0483, 10, 0.1, Verdict.EQUIVALENT, (-0.033, 0.037), 0.90),
        (0.063, 0.1251, 12, 0.115, Verdict.NO_DIFFERENCE, (-0.016, 0.143), 0.109),
        (0.302, 0.2787, 5, 0.2, Verdict.UNDERPOWERED, (-0.044, 0.648), 0.0725),
        (0.302, 0.2787, 2, 0.2, Verdict.INSUFFICIENT, (None, None), None),
    ],
)
def test_every_verdict_has_its_case(mean, sd, n, margin, verdict, interval, p):
    found = one(*columns(mean, sd, n), rules=Rules(min_effect=margin))
    assert found.verdict is verdict
    assert found.gain == pytest.approx(mean)
    if p is None:
        assert (found.low, found.high, found.p) == (None, None, None)
    else:
        assert (found.low, found.high) == pytest.approx(interval, abs=1e-3)
        assert found.p == pytest.approx(p, rel=0.03)


def test_no_detectable_difference_in_numbers():
    found = one(*columns(0.063, 0.1251, 12), rules=Rules(min_effect=0.115))
    assert (found.detectable, found.equivalence_p) == pytest.approx((0.111, 0.090), abs=2e-3)


@pytest.mark.parametrize(("mean", "beyond"), [(0.358, True), (0.25, False)])
@pytest.mark.parametrize("direction", [1, -1])
def test_better_and_worse_say_whether_the_whole_interval_is_beyond_the_margin(mean, beyond, direction):
    found = one(*columns(direction * mean, 0.1552, 10))
    assert found.verdict is (Verdict.BETTER if direction > 0 else Verdict.WORSE)
    assert found.beyond is beyond


def test_many_losses_share_one_family():
    spreads = (0.2787, 0.1056, 0.3077)
    baseline = columns(0, 1, 5)[0]
    candidates = [
        arm(str(mean), baseline + (columns(mean, sd, 5)[1] - columns(mean, sd, 5)[0]))
        for mean, sd in zip((0.302, 0.624, -0.584), spreads, strict=True)
    ]
    found = contrasts(arm("ce", baseline), candidates, sign=1, rules=POINTS)
    assert [each.p_adjusted for each in found] == pytest.approx([0.0725, 0.00057, 0.0264], rel=0.02)
    assert [each.p_adjusted for each in found] == pytest.approx(multipletests([e.p for e in found], method="holm")[1])
    assert (found[1].joint_low, found[1].joint_high) == pytest.approx((0.437, 0.811), abs=2e-3)
    assert (found[2].joint_low, found[2].joint_high) == pytest.approx((-1.129, -0.039), abs=4e-3)
    assert [each.verdict for each in found] == [Verdict.UNDERPOWERED, Verdict.BETTER, Verdict.WORSE]


def test_a_candidate_without_runs_still_counts_in_the_correction():
    baseline, good = columns(0.358, 0.3, 10)
    alone = one(baseline, good)
    nobody = Arm(loss="gone", values={}, diverged=(0, 1, 2))
    first, second = contrasts(arm("ce", baseline), [arm("new", good), nobody], sign=1, rules=POINTS)
    assert first.p_adjusted == pytest.approx(2 * alone.p)
    assert second.verdict is Verdict.INSUFFICIENT
    assert (second.n, second.gain, second.flip_p, second.superiority) == (0, None, None, None)
    assert second.candidate.lost == {"diverged": 3}


def test_smaller_is_better_turns_the_sign():
    baseline, candidate = columns(0.358, 0.1552, 10)
    up, down = one(baseline, candidate), one(-baseline, -candidate, sign=-1)
    assert down.baseline.mean == pytest.approx(-up.baseline.mean)
    for name in ("gain", "low", "high", "p", "superiority", "hedges", "verdict", "beyond"):
        assert getattr(down, name) == getattr(up, name)


def test_seeds_are_paired_by_number_and_the_rest_is_named():
    baseline, candidate = columns(0.3, 0.1, 6)
    left = arm("ce", baseline)
    right = Arm(loss="new", values={seed: candidate[seed] for seed in (5, 3, 1, 2, 0)} | {9: 50.0})
    (found,) = contrasts(left, [right], sign=1, rules=POINTS)
    kept = [0, 1, 2, 3, 5]
    assert found.paired
    assert (found.n, found.unmatched) == (5, (4, 9))
    assert found.gain == pytest.approx(np.mean(candidate[kept] - baseline[kept]))


def test_welch_where_no_seeds_match():
    from scipy import stats

    baseline, candidate = columns(0.358, 0.1552, 10)
    (found,) = contrasts(arm("ce", baseline), [arm("new", candidate, first=100)], sign=1, rules=POINTS)
    theirs = stats.ttest_ind(candidate, baseline, equal_var=False)
    assert not found.paired
    assert (found.p, found.df) == pytest.approx((theirs.pvalue, theirs.df))
    assert (found.flip_p, found.correlation, found.hedges) == (None, None, None)
    assert found.n == 10


def test_too_few_of_either_are_paired_all_the_same():
    (found,) = contrasts(arm("ce", [1.0, 2.0, 3.0]), [arm("new", [2.0, 2.5])], sign=1, rules=POINTS)
    assert (found.paired, found.n, found.verdict) == (True, 2, Verdict.INSUFFICIENT)
    assert found.gain == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("shift", "margin", "verdict"),
    [
        (0.0, 0.2, Verdict.EQUIVALENT),
        (0.0, None, Verdict.NO_DIFFERENCE),
        (0.5, 0.2, Verdict.INSUFFICIENT),
    ],
)
def test_no_spread_does_not_crash(shift, margin, verdict):
    column = np.array([1.0, 2.0, 4.0, 8.0])
    found = one(column, column + shift, rules=Rules(min_effect=margin))
    assert found.verdict is verdict
    assert found.identical is (shift == 0)
    assert (found.p, found.low, found.seeds_needed) == (None, None, None)


def test_no_verdict_where_the_rules_forbid_one():
    found = one(*columns(0.358, 0.1552, 10), rules=Rules(judged=False))
    assert (found.verdict, found.beyond) == (None, None)
    assert found.p is not None


@given(some.integers(0, 2**32 - 1), some.integers(1, 12), some.integers(0, 5), some.floats(0.0, 2.0))
def test_every_word_follows_from_the_numbers_shown(seed, n, coarse, shift):
    rng = np.random.default_rng(seed)
    baseline = rng.normal(77, 0.3, n).round(coarse)
    found = one(baseline, (baseline + rng.normal(shift, 0.3, n)).round(coarse))
    numbers = [value for value in dataclasses.astuple(found) if isinstance(value, float)]
    assert np.isfinite(numbers).all()
    match found.verdict:
        case Verdict.BETTER:
            assert found.low > 0
            assert found.p_adjusted < 0.05
        case Verdict.WORSE:
            assert found.high < 0
        case Verdict.EQUIVALENT:
            assert found.identical or found.equivalence_p < 0.05
        case Verdict.UNDERPOWERED:
            assert found.detectable > 0.2
            assert found.seeds_needed > n
        case Verdict.NO_DIFFERENCE:
            assert found.detectable <= 0.2
        case Verdict.INSUFFICIENT:
            assert n < 3 or not found.sd > 0
