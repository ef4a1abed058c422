import math

import pytest

from lossbench.compare import Verdict, compare_losses
from lossbench.errors import NotComparable, NothingFound, UsageError
from lossbench.store import Selection, Store

BASE = (0.7731, 0.7702, 0.7758, 0.7711, 0.7744)
UNDECIDED = (0.7769, 0.7735, 0.7740, 0.7762, 0.7791)
BETTER = tuple(value + 0.01 + 0.0001 * i for i, value in enumerate(BASE))


def both(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", BASE)


def compare(bench, selection=None, **options):
    with Store.open(bench.home) as store:
        return compare_losses(store, selection or Selection(), **options)


def test_the_worked_example_from_the_store(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", UNDECIDED)
    found = compare(bench)
    (panel,) = found.panels
    (contrast,) = panel.contrasts
    assert (panel.preset, panel.measure.name, panel.split, panel.at) == ("toy", "top1_acc", "test", "last")
    assert not panel.exploratory
    assert contrast.verdict is Verdict.UNDERPOWERED
    assert (contrast.gain, contrast.p, contrast.seeds_needed) == pytest.approx((0.00302, 0.0725, 18), abs=1e-4)
    assert found.warnings == ()


def test_variants_of_a_loss_are_losses_and_count_in_the_correction(bench):
    bench.arm("ce", BASE)
    for loss in ("focal:gamma=1", "focal:gamma=2", "adaptive"):
        bench.arm(loss, UNDECIDED)
    (panel,) = compare(bench).panels
    assert [each.candidate.loss for each in panel.contrasts] == ["adaptive", "focal:gamma=1", "focal:gamma=2"]
    assert panel.contrasts[0].p_adjusted == pytest.approx(3 * panel.contrasts[0].p)
    (few,) = compare(bench, Selection(losses=("adaptive",))).panels
    assert [each.p_adjusted for each in few.contrasts] == [pytest.approx(panel.contrasts[0].p)]
    (raw,) = compare(bench, correct="none").panels
    assert raw.contrasts[0].p_adjusted == raw.contrasts[0].p


@pytest.mark.parametrize("status", ["diverged", "failed", "interrupted", "running"])
def test_lost_runs_are_counted_not_dropped(bench, status):
    bench.arm("ce", BASE)
    bench.arm("adaptive", UNDECIDED[:4])
    bench.run("adaptive", 4, 0.1, status=status)
    (contrast,) = compare(bench).panels[0].contrasts
    kind = {"interrupted": "unfinished", "running": "unfinished"}.get(status, status)
    assert contrast.candidate.lost == {kind: 1}
    assert contrast.candidate.seeds == (0, 1, 2, 3, 4)
    assert (contrast.n, contrast.unmatched) == (4, (4,))


def test_a_value_that_is_not_finite_is_counted(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", UNDECIDED[:4])
    bench.run("adaptive", 4, math.inf)
    (contrast,) = compare(bench).panels[0].contrasts
    assert contrast.candidate.lost == {"not finite": 1}


def test_the_newest_finished_run_of_a_cell_counts(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", BASE)
    bench.arm("adaptive", BETTER)
    bench.run("adaptive", 0, 0.5, status="interrupted")
    (contrast,) = compare(bench).panels[0].contrasts
    assert contrast.verdict is Verdict.BETTER
    assert contrast.n == 5


def test_a_field_that_no_recipe_has_cannot_be_allowed(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", BETTER)
    with pytest.raises(UsageError, match="unknown field 'batchsize'; did you mean 'batch_size'"):
        compare(bench, allow=("batchsize",))
    assert compare(bench, allow=("optimizer", "batch_size")).panels


def test_differing_recipes_are_refused_by_name(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", BETTER, batch_size=64)
    with pytest.raises(NotComparable, match=r"toy: .*batch_size is 32 or 64.*--allow batch_size"):
        compare(bench)
    found = compare(bench, allow=("batch_size",))
    assert found.panels[0].contrasts[0].verdict is Verdict.BETTER
    assert found.warnings == ("toy: the runs differ in batch_size, as --allow permits",)
    with pytest.raises(NotComparable, match="more than loss and seed"):
        compare(bench, allow=("optimizer",))


def test_a_seed_with_two_recipes_is_refused_even_when_the_field_is_allowed(bench):
    bench.arm("ce", BASE)
    bench.arm("ce", BASE, batch_size=64)
    bench.arm("adaptive", BETTER)
    with pytest.raises(NotComparable, match=r"ce has 2 runs of seed 0 that differ in batch_size"):
        compare(bench, allow=("batch_size",))
    chosen = Selection(where="recipe IN (SELECT recipe FROM run WHERE loss = 'adaptive')")
    assert compare(bench, chosen).panels[0].contrasts[0].verdict is Verdict.BETTER
    as_advised = Selection(where="spec->>'$.preset.batch_size' = '32'")
    assert compare(bench, as_advised).panels[0].contrasts[0].verdict is Verdict.BETTER


def test_recipes_of_losses_left_out_do_not_matter(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", BETTER)
    bench.arm("focal", BASE, batch_size=64)
    assert compare(bench, Selection(losses=("adaptive",))).panels[0].contrasts[0].verdict is Verdict.BETTER


def test_what_may_explain_a_difference_is_said(bench):
    bench.arm("ce", BASE)
    for seed, value in zip((1, 2, 3, 4, 9), UNDECIDED, strict=True):
        bench.run("adaptive", seed, value, provenance={"torch": "2.14", "git_dirty": True})
    warnings = compare(bench).warnings
    assert [each for each in warnings if "torch version (adaptive: 2.14; ce: 2.15)" in each]
    assert [each for each in warnings if "hand-picked list (adaptive: 1-4,9)" in each]
    assert [each for each in warnings if "adaptive were made with uncommitted changes" in each]


@pytest.mark.parametrize(
    ("options", "exploratory"),
    [({}, False), ({"at": "last"}, True), ({"metric": "nll"}, True), ({"metric": "val/top1_acc"}, True)],
)
def test_only_the_declared_metric_at_its_epochs_is_primary(bench, options, exploratory):
    values = {"test/top1_acc": 0.7, "val/top1_acc": 0.6, "test/nll": 1.0}
    for loss in ("ce", "adaptive"):
        bench.arm(loss, BASE, epochs=[values] * 3, metric={"name": "top1_acc", "at": "mean:2-3"})
    assert compare(bench, **options).panels[0].exploratory is exploratory


def test_epoch_rules(bench):
    for loss, shift in (("ce", 0.0), ("adaptive", 0.1)):
        for seed in range(3):
            curve = [(0.2, 0.9), (0.4, 0.6), (0.3, 0.7)]
            epochs = [{"val/top1_acc": val + shift, "test/top1_acc": test + shift * seed} for val, test in curve]
            bench.run(loss, seed, None, epochs=epochs)
    means = {at: compare(bench, at=at).panels[0].contrasts[0].baseline.mean
             for at in ("last", "mean:2-3", "best-val", "best-test")}  # fmt: skip
    assert means == pytest.approx({"last": 0.7, "mean:2-3": 0.65, "best-val": 0.6, "best-test": 0.9})
    assert compare(bench, at="best-val").panels[0].contrasts[0].verdict is not None
    assert compare(bench, at="best-test").panels[0].contrasts[0].verdict is None


def test_errors_are_turned_round_and_have_no_default_margin_outside_fractions(bench):
    for loss, shift in (("ce", 0.0), ("adaptive", -0.1)):
        for seed in range(5):
            value = 1.0 + shift + 0.01 * seed * (1 + shift)
            bench.run(loss, seed, None, epochs=[{"test/nll": value, "test/entropy": value}] * 3)
    panel = compare(bench, metric="nll").panels[0]
    assert (panel.contrasts[0].verdict, panel.rules.min_effect) == (Verdict.BETTER, None)
    assert panel.contrasts[0].gain > 0
    assert compare(bench, metric="nll", min_effect=0.3).panels[0].rules.min_effect == 0.3
    assert compare(bench, metric="entropy").panels[0].contrasts[0].verdict is None


def test_presets_are_kept_apart_and_pooled(bench):
    for preset, shift in (("a", 0.0), ("b", -0.1), ("c", 0.05)):
        bench.arm("ce", [value + shift for value in BASE], preset=preset)
        bench.arm("adaptive", [value + shift for value in BETTER], preset=preset)
    bench.arm("focal", BASE, preset="a")
    bench.arm("ce", BASE, preset="lonely")
    found = compare(bench)
    assert [panel.preset for panel in found.panels] == ["a", "b", "c"]
    assert [(each.candidate, each.presets) for each in found.across] == [("adaptive", 3)]
    assert found.across[0].gain == pytest.approx(0.0102)
    assert found.ranking.losses == ("ce", "adaptive")
    assert found.ranking.mean_ranks == (2.0, 1.0)
    assert "lonely is left out: it has runs of ce only" in found.warnings


@pytest.mark.parametrize(
    ("fill", "options", "error", "message"),
    [
        (lambda b: None, {}, NothingFound, "no run matches"),
        (lambda b: b.arm("ce", BASE), {}, NothingFound, "only ce has runs"),
        (lambda b: b.arm("adaptive", BASE), {}, NothingFound, "the baseline has no runs: unknown loss 'ce'"),
        (both, {"metric": "nll"}, NothingFound, "no run stored test/nll"),
        (both, {"metric": "top1"}, UsageError, "did you mean 'top1_acc'"),
        (both, {"at": "mean:2-9"}, UsageError, "beyond the 3 epochs"),
        (both, {"alpha": 1.5}, UsageError, "between 0 and 0.5"),
        (both, {"min_effect": 0.0}, UsageError, "matters is 0; it must be above 0 and finite"),
        (both, {"min_effect": float("nan")}, UsageError, "matters is nan; it must be above 0 and finite"),
        (both, {"at": "first"}, UsageError, "epoch rule 'first'"),
        (lambda b: (b.arm("ce", BASE, status="diverged"), b.arm("adaptive", BASE, status="failed")), {}, NothingFound,
         r"no run has a value to compare \(5 diverged, 5 failed\)"),
        (lambda b: (b.run("ce", 0, 0.5), b.run("adaptive", 1, 0.5)), {}, NotComparable,
         r"no seed in common \(ce: 0; adaptive: 1\)"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(bench, fill, options, error, message):
    fill(bench)
    with pytest.raises(error, match=message) as caught:
        compare(bench, **options)
    assert "\n" not in str(caught.value)


def test_a_loss_nobody_ran(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", BASE)
    with pytest.raises(NothingFound, match="did you mean 'adaptive'"):
        compare(bench, Selection(losses=("adaptiv",)))


def test_a_preset_nobody_ran(bench):
    both(bench)
    with pytest.raises(NothingFound, match="did you mean 'toy'"):
        compare(bench, Selection(presets=("toyy",)))


def test_all_of_one_loss_diverged(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", BASE, status="diverged")
    (contrast,) = compare(bench).panels[0].contrasts
    assert (contrast.verdict, contrast.candidate.lost) == (Verdict.INSUFFICIENT, {"diverged": 5})


def test_identical_columns_are_named(bench):
    bench.arm("ce", BASE)
    bench.arm("focal:gamma=0", BASE)
    (contrast,) = compare(bench).panels[0].contrasts
    assert contrast.identical
    assert contrast.verdict is Verdict.EQUIVALENT
