import numpy as np
import pytest

from lossbench.compare import compare_losses
from lossbench.compare.testset import row_by_row
from lossbench.errors import NothingFound
from lossbench.render import document
from lossbench.render.comparison import comparison_document
from lossbench.stats.testset import crossed, mcnemar_p
from lossbench.store import Selection, Store

LABEL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] * 20


def keep(bench, loss, seed, chance, label=LABEL):
    rng = np.random.default_rng([seed, int(1000 * chance)])
    predicted = [each if rng.random() < chance else (each + 1) % 10 for each in label]
    accuracy = float(np.mean(np.equal(predicted, label)))
    bench.run(loss, seed, accuracy, rows=(label, predicted))
    return np.equal(predicted, label)


def test_new_seeds_agree_with_the_contrast_and_a_new_test_set_is_wider(bench):
    right = [[keep(bench, loss, seed, chance) for seed in range(4)] for loss, chance in (("ce", 0.7), ("new", 0.8))]
    with Store.open(bench.home) as store:
        value = compare_losses(store, Selection())
        (found,) = row_by_row(store, value)
    contrast = value.panels[0].contrasts[0]
    assert found.crossed == crossed(np.subtract(*reversed([np.array(each, float) for each in right])))
    assert found.crossed.new_seeds.value == pytest.approx(contrast.gain)
    assert found.crossed.new_seeds.interval() == pytest.approx((contrast.low, contrast.high))
    gained, lost = (int((a & ~b).sum()) for a, b in ((right[1][0], right[0][0]), (right[0][0], right[1][0])))
    assert (found.gained, found.lost, found.mcnemar_p) == (gained, lost, mcnemar_p(gained, lost))
    shown = document(comparison_document(value, (found,)), "table", width=80, color=False)
    assert "new test set" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_single_pair_has_only_mcnemar(bench):
    keep(bench, "ce", 0, 0.7)
    keep(bench, "new", 0, 0.8)
    with Store.open(bench.home) as store:
        (found,) = row_by_row(store, compare_losses(store, Selection()))
    assert found.crossed is None
    assert 0 < found.mcnemar_p <= 1


def test_runs_without_predictions(bench):
    bench.arm("ce", (0.7, 0.71, 0.72))
    bench.arm("new", (0.7, 0.71, 0.73))
    with Store.open(bench.home) as store, pytest.raises(NothingFound, match="kept its predictions"):
        row_by_row(store, compare_losses(store, Selection()))


def test_other_test_rows_are_refused(bench):
    keep(bench, "ce", 0, 0.7)
    keep(bench, "new", 0, 0.8, label=list(reversed(LABEL)))
    with Store.open(bench.home) as store, pytest.raises(NothingFound, match="not tested on the same rows"):
        row_by_row(store, compare_losses(store, Selection()))
