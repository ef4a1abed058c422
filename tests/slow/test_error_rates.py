"""Does compare keep what it promises? Thousands of made-up experiments, judged by the code people use."""

import numpy as np
import pytest

from lossbench.compare.contrast import contrasts
from lossbench.compare.sequential import DECIDED
from lossbench.compare.values import Arm, Rules, Verdict
from lossbench.stats.power import seeds_needed
from lossbench.stats.sequential import look_schedule, nominal_level

pytestmark = pytest.mark.slow

RULES = Rules(min_effect=0.002)


def arm(loss, values):
    return Arm(loss=loss, values=dict(enumerate(values.tolist())))


def pairs(rng, n, gain, shared=0.6):
    """Two columns of one seed spread, correlated as runs of one seed are."""
    seeds = rng.normal(0, 0.003, n)
    own = rng.normal(0, 0.003, (2, n)) * np.sqrt(1 - shared)
    return 0.77 + np.sqrt(shared) * seeds + own[0], 0.77 + gain + np.sqrt(shared) * seeds + own[1]


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("gain", [0.0, 0.004])
def test_the_interval_covers_the_truth(n, gain):
    rng = np.random.default_rng([n, int(1000 * gain)])
    found = []
    for _ in range(4000):
        baseline, candidate = pairs(rng, n, gain)
        (contrast,) = contrasts(arm("ce", baseline), [arm("new", candidate)], sign=1, rules=RULES)
        found.append(contrast.low <= gain <= contrast.high)
    assert np.mean(found) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("losses", [1, 4])
def test_false_alarms_stay_at_five_percent_whatever_the_number_of_losses(n, losses):
    rng = np.random.default_rng([n, losses])
    alarms = 0
    for _ in range(3000):
        seeds = rng.normal(0.77, 0.003, n)
        candidates = [arm(str(each), seeds + rng.normal(0, 0.002, n)) for each in range(losses)]
        found = contrasts(arm("ce", seeds + rng.normal(0, 0.002, n)), candidates, sign=1, rules=RULES)
        alarms += any(each.verdict in (Verdict.BETTER, Verdict.WORSE) for each in found)
    assert alarms / 3000 <= 0.05 + 0.012
    assert alarms / 3000 >= (0.05 if losses == 1 else 0.02) - 0.012


def test_equivalent_is_said_of_a_difference_at_the_margin_one_time_in_twenty():
    rng = np.random.default_rng(1)
    said = 0
    for _ in range(3000):
        baseline, candidate = pairs(rng, 20, RULES.min_effect)
        (contrast,) = contrasts(arm("ce", baseline), [arm("new", candidate)], sign=1, rules=RULES)
        said += contrast.verdict is Verdict.EQUIVALENT
    assert said / 3000 <= 0.05 + 0.012


def test_adding_seeds_until_decided_keeps_its_error_and_looking_freely_does_not():
    rng = np.random.default_rng(2)
    looks = look_schedule(20)
    level = nominal_level(looks)
    planned = peeking = 0
    for _ in range(3000):
        baseline, candidate = pairs(rng, 20, 0.0)
        found = [
            contrasts(arm("ce", baseline[:n]), [arm("new", candidate[:n])], sign=1, rules=RULES)[0].p for n in looks
        ]
        planned += min(found) < level
        peeking += min(found) < 0.05
    assert planned / 3000 == pytest.approx(0.05, abs=0.012)
    assert peeking / 3000 > 0.09


@pytest.mark.parametrize("losses", [1, 4])
def test_a_sweep_until_decided_is_wrong_about_any_loss_one_time_in_twenty_at_most(losses):
    """The rule as `sweep --until decided` applies it: it ends with the first look at which nothing waits any more."""
    rng = np.random.default_rng([5, losses])
    looks = look_schedule(30)
    rules = Rules(min_effect=0.002, alpha=nominal_level(looks))
    wrong = 0
    for _ in range(3000):
        shared = rng.normal(0.77, 0.003, 30)
        columns = [shared + rng.normal(0, 0.003, 30) for _ in range(losses + 1)]
        said = False
        for n in looks:
            arms = [arm(str(place), column[:n]) for place, column in enumerate(columns)]
            verdicts = [each.verdict for each in contrasts(arms[0], arms[1:], sign=1, rules=rules)]
            said |= Verdict.BETTER in verdicts or Verdict.WORSE in verdicts
            if all(each in DECIDED for each in verdicts):
                break
        wrong += said
    assert wrong / 3000 <= 0.05 + 0.012
    assert wrong / 3000 >= (0.05 if losses == 1 else 0.03) - 0.012


def test_seeds_needed_see_the_difference_four_times_in_five():
    rng = np.random.default_rng(3)
    gain = 0.002
    sd = gain / 0.9
    n = seeds_needed(sd, gain)
    seen = 0
    for _ in range(3000):
        baseline = rng.normal(0.77, 0.003, n)
        candidate = baseline + rng.normal(gain, sd, n)
        (contrast,) = contrasts(arm("ce", baseline), [arm("new", candidate)], sign=1, rules=RULES)
        seen += contrast.verdict is Verdict.BETTER
    assert 0.78 <= seen / 3000 <= 0.88
