import pytest

from lossbench.compare import Verdict, compare_losses
from lossbench.compare.derived import parse_derived
from lossbench.errors import NothingFound, UsageError
from lossbench.render import document
from lossbench.render.comparison import comparison_document
from lossbench.store import Selection, Store


def compare(bench, metric, **options):
    with Store.open(bench.home) as store:
        return compare_losses(store, Selection(), metric=metric, **options)


def curves(bench, loss, accuracies, seed):
    epochs = [{"test/top1_acc": each, "train/seconds": 2.0 + seed} for each in accuracies]
    bench.run(loss, seed, None, epochs=epochs, provenance={"train_rows": 100})


@pytest.fixture
def slow_and_fast(bench):
    for seed in range(4):
        curves(bench, "ce", (0.2, 0.5 + 0.01 * seed, 0.8), seed)
        curves(bench, "fast", (0.2 + 0.4 * (seed > 0), 0.8, 0.81), seed)
    return bench


@pytest.mark.parametrize(
    ("metric", "baseline", "candidate"),
    [
        ("epochs-to:top1_acc>=55", 3, 1.25),
        ("epochs-to:test/top1_acc >= 55", 3, 1.25),
        ("seconds-to:top1_acc>=55", 3 * 3.5, (4 + 3 + 4 + 5) / 4),
        ("samples-to:top1_acc>=55", 300, 125),
        ("auc:top1_acc", (0.2 + 2 * 0.515 + 0.8) / 4, None),
    ],
)
def test_values(slow_and_fast, metric, baseline, candidate):
    (contrast,) = compare(slow_and_fast, metric).panels[0].contrasts
    assert contrast.baseline.mean == pytest.approx(baseline)
    if candidate is not None:
        assert contrast.candidate.mean == pytest.approx(candidate)
    assert contrast.gain > 0


def test_sooner_is_better(slow_and_fast):
    panel = compare(slow_and_fast, "epochs-to:top1_acc>=55").panels[0]
    assert panel.contrasts[0].verdict is Verdict.BETTER
    assert panel.exploratory
    assert panel.measure.title == "epochs until top-1 accuracy on test >= 55 %"


def test_runs_that_never_get_there_are_said_and_forbid_a_verdict(bench):
    for seed in range(4):
        curves(bench, "ce", (0.2, 0.5, 0.8), seed)
        curves(bench, "new", (0.2, 0.8, 0.8) if seed else (0.1, 0.1, 0.1), seed)
    value = compare(bench, "epochs-to:top1_acc>=75")
    (contrast,) = value.panels[0].contrasts
    assert contrast.candidate.lost == {"never there": 1}
    assert contrast.verdict is None
    shown = " ".join(document(comparison_document(value), "table", width=80, color=False).split())
    assert "no verdict, as some runs never got there" in shown
    assert "1 of 4 never there" in shown


@pytest.mark.parametrize("metric", ["epochs-to:top1_acc", "epoch-to:top1_acc>=5", "auc:", "epochs-to:top1_acc>=1.2.3"])
def test_bad_forms(metric):
    with pytest.raises(UsageError, match=r"epochs-to|not a number"):
        parse_derived(metric)


def test_unknown_base_metric():
    with pytest.raises(UsageError, match="did you mean 'top1_acc'"):
        parse_derived("auc:test/top1_ac")


def test_whole_runs_have_no_epoch_rule(slow_and_fast):
    with pytest.raises(UsageError, match="leave out --at"):
        compare(slow_and_fast, "auc:top1_acc", at="last")


def test_samples_take_runs_that_tell_how_many_an_epoch_has(bench):
    for loss in ("ce", "new"):
        for seed in range(3):
            bench.run(loss, seed, 0.9)
    with pytest.raises(NothingFound, match="how many rows an epoch has"):
        compare(bench, "samples-to:top1_acc>=75")
