import math

import numpy as np
import pytest

from lossbench.compare.planning import named_spread, plan, stored_spread
from lossbench.errors import NothingFound, UsageError
from lossbench.measures import MEASURES
from lossbench.render.plan import plan_document
from lossbench.store import Selection, Store

TOP1 = MEASURES["top1_acc"]
BASE = (0.7731, 0.7702, 0.7758, 0.7711, 0.7744)
OTHERS = {"adaptive": (0.7769, 0.7735, 0.7740, 0.7762, 0.7791), "focal": (0.77, 0.78, 0.76, 0.775, 0.772)}


def test_a_named_spread_in_points():
    spread, measure = named_spread(0.3, None)
    found = plan(spread, 0.2, measure)
    assert (found.needed, found.needed_range, found.delta) == (20, None, pytest.approx(0.002))
    assert {n: seen / 0.003 for n, _, seen in found.rows}[5] == pytest.approx(1.682, abs=5e-4)
    assert next(chance for n, chance, _ in found.rows if n >= 20) >= 0.8


def test_a_stored_spread_is_pooled_over_losses(bench):
    bench.arm("ce", BASE)
    for loss, values in OTHERS.items():
        bench.arm(loss, values)
    with Store.open(bench.home) as store:
        spread, measure = stored_spread(store, Selection())
    variances = [np.var(np.subtract(values, BASE), ddof=1) for values in OTHERS.values()]
    assert (spread.sd, spread.df) == pytest.approx((math.sqrt(np.mean(variances)), 8))
    found = plan(spread, 0.3, measure)
    assert found.needed_range[0] < found.needed < found.needed_range[1]


def test_a_lone_loss_gives_its_own_spread(bench):
    bench.arm("ce", BASE)
    with Store.open(bench.home) as store:
        spread, _ = stored_spread(store, Selection())
    assert (spread.sd, spread.df) == (pytest.approx(math.sqrt(2) * np.std(BASE, ddof=1)), 4)
    assert spread.source == "sqrt(2) times the spread of 5 runs of ce on toy"


def test_the_answer_is_a_sentence():
    document = plan_document(plan(*named_spread(0.3, None)[:1], 0.2, TOP1))
    assert document.sections[0].body[0] == (
        "20 seeds per loss see a difference of 0.20 points with 80 % power at level 0.05, at a spread of 0.30 points."
    )


def test_beyond_a_million_seeds_no_number_is_claimed(bench):
    bench.arm("ce", BASE)
    with Store.open(bench.home) as store:
        spread, _ = stored_spread(store, Selection())
    answer = plan_document(plan(spread, 0.0001, TOP1)).sections[0].body[0]
    assert answer.startswith("1,000,000 or more seeds per loss (")
    assert answer.split("(")[1].split(")")[0].endswith(" to 1,000,000 or more")


def test_nothing_to_take_a_spread_from(bench):
    bench.run("ce", 0, 0.7)
    with Store.open(bench.home) as store, pytest.raises(NothingFound, match="name one with --sd"):
        stored_spread(store, Selection())


@pytest.mark.parametrize(
    "numbers", [(0.0, 0.3, 0.05, 0.8), (0.2, 0.0, 0.05, 0.8), (0.2, 0.3, 0.7, 0.8), (0.2, 0.3, 0.05, 1)]
)
def test_numbers_out_of_range(numbers):
    delta, sd, alpha, target = numbers
    with pytest.raises(UsageError):
        plan(named_spread(sd, None)[0], delta, TOP1, alpha=alpha, target=target)
