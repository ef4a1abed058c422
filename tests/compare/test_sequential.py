import numpy as np
import pytest

from lossbench.compare import Verdict
from lossbench.compare.sequential import look, look_schedule
from lossbench.store import Selection, Store

LOOKS = (5, 8, 10)


def judged(bench, **options):
    with Store.open(bench.home) as store:
        return look(store, Selection(), looks=LOOKS, **options)


def test_each_contrast_is_decided_on_its_own(bench):
    rng = np.random.default_rng(4)
    base = 0.77 + rng.normal(0, 0.002, 5)
    bench.arm("ce", base)
    bench.arm("good", base + 0.02 + rng.normal(0, 0.001, 5))
    bench.arm("bad", base - 0.02 + rng.normal(0, 0.001, 5))
    bench.arm("same", base)
    bench.arm("alike", base + rng.normal(0, 0.0002, 5))
    bench.arm("noisy", base + rng.normal(0, 0.01, 5))
    found = judged(bench)
    assert {each.candidate.loss: each.verdict for each in found.comparison.panels[0].contrasts} == {
        "alike": Verdict.EQUIVALENT,
        "bad": Verdict.WORSE,
        "good": Verdict.BETTER,
        "noisy": Verdict.UNDERPOWERED,
        "same": Verdict.EQUIVALENT,
    }
    assert found.waiting == {"toy": ("noisy",)}
    assert not found.decided


def test_a_loss_without_a_value_is_not_waited_for(bench):
    base = np.random.default_rng(4).normal(0.77, 0.002, 5)
    bench.arm("ce", base)
    bench.arm("good", base + 0.02 + 0.0001 * np.arange(5))
    for seed in range(5):
        bench.run("nowhere", seed, 0.5, status="diverged")
    assert judged(bench).decided


def test_the_looks_share_the_level(bench):
    for loss in ("ce", "a", "b"):
        bench.arm(loss, np.random.default_rng(len(loss)).normal(0.7, 0.01, 5))
    (panel,) = judged(bench).comparison.panels
    assert panel.rules.alpha == panel.plan.level == pytest.approx(0.0233, rel=0.15)
    assert "looks at 5, 8, 10" in panel.plan.statement
    assert "at most 5 %" in panel.plan.statement


def test_a_difference_that_one_look_would_accept_is_not_enough_for_three(bench):
    base = np.array([0.7731, 0.7702, 0.7758, 0.7711, 0.7744])
    gains = np.array([0.001, 0.005, 0.006, 0.0005, 0.0055])
    bench.arm("ce", base)
    bench.arm("new", base + gains)
    found = judged(bench)
    (contrast,) = found.comparison.panels[0].contrasts
    assert found.comparison.panels[0].plan.level < contrast.p < 0.05
    assert found.waiting == {"toy": ("new",)}


def test_looks_end_with_the_last_seed():
    assert look_schedule(30)[-1] == 30
