"""Each loss at the setting its validation rows prefer: what is chosen, what is compared, and what is said of it."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from lossbench import suites
from lossbench.compare import compare_losses
from lossbench.compare.suite import asked
from lossbench.errors import NotComparable, NothingFound, UsageError
from lossbench.render.diagram import rank_diagram
from lossbench.store import Selection, Store
from tests.compare.conftest import PRESET


def at(lr):
    return dataclasses.replace(PRESET.optimizer, lr=lr)


def grid(bench, loss, scores, **details):
    """Three seeds at each learning rate; `scores` are (validation, test) by learning rate."""
    for lr, (val, test) in scores.items():
        for seed in range(3):
            epochs = [{"val/top1_acc": val, "test/top1_acc": test + 0.001 * seed * (1 + lr)}] * 3
            bench.run(loss, seed, 0, epochs=epochs, optimizer=at(lr), **details)


def tuned(bench, *fields, **options):
    with Store.open(bench.home) as store:
        return compare_losses(store, Selection(), tuned=fields or ("optimizer.lr",), **options)


def test_each_loss_stands_at_its_own_best_on_validation_whatever_the_test_rows_say(bench):
    grid(bench, "ce", {0.1: (0.80, 0.70), 0.2: (0.75, 0.99)})
    grid(bench, "focal", {0.1: (0.60, 0.99), 0.2: (0.90, 0.72)})
    found = tuned(bench)
    (panel,) = found.panels
    assert [(each.loss, each.setting, each.tried, each.runs) for each in panel.choices] == [
        ("ce", "optimizer.lr=0.1", 2, 6),
        ("focal", "optimizer.lr=0.2", 2, 6),
    ]
    assert panel.choices[1].score == pytest.approx(0.90)
    assert panel.contrasts[0].gain == pytest.approx(0.02, abs=1e-3)
    assert not found.warnings


def test_without_tuning_such_runs_are_refused_and_the_way_is_named(bench):
    grid(bench, "ce", {0.1: (0.80, 0.70), 0.2: (0.75, 0.99)})
    grid(bench, "focal", {0.1: (0.60, 0.99)})
    with Store.open(bench.home) as store, pytest.raises(NotComparable, match=r"--tuned optimizer\.lr"):
        compare_losses(store, Selection())


def test_a_knob_of_the_loss_is_chosen_too_and_its_values_count_as_one_loss(bench):
    grid(bench, "ce", {0.1: (0.80, 0.70)})
    grid(bench, "focal:gamma=1", {0.1: (0.81, 0.71)})
    grid(bench, "focal:gamma=3,alpha=2", {0.1: (0.99, 0.5)})
    grid(bench, "focal:gamma=3", {0.1: (0.82, 0.72)})
    found = tuned(bench, "loss.gamma")
    assert [(each.loss, each.setting) for each in found.panels[0].choices] == [
        ("ce", "as it is"),
        ("focal", "loss.gamma=3"),
        ("focal:alpha=2", "loss.gamma=3"),
    ]
    assert "unequal budgets (ce: 1 settings, 3 runs; focal: 2 settings, 6 runs" in found.warnings[0]


def test_a_setting_that_lost_runs_is_passed_over_and_of_equals_the_first_wins(bench):
    grid(bench, "ce", {0.1: (0.80, 0.70), 0.2: (0.80, 0.60)})
    grid(bench, "focal", {0.2: (0.70, 0.70)})
    epochs = [{"val/top1_acc": 0.99, "test/top1_acc": 0.99}] * 3
    for seed in range(2):
        bench.run("focal", seed, 0, epochs=epochs, optimizer=at(0.1))
    bench.run("focal", 2, 0, epochs=epochs, optimizer=at(0.1), status="diverged")
    found = tuned(bench)
    assert [each.setting for each in found.panels[0].choices] == ["optimizer.lr=0.1", "optimizer.lr=0.2"]


def test_without_validation_rows_nothing_can_be_chosen(bench):
    bench.arm("ce", [0.7, 0.71, 0.72])
    bench.arm("focal", [0.7, 0.71, 0.72], optimizer=at(0.3))
    with pytest.raises(NothingFound, match="no run stored val/top1_acc"):
        tuned(bench)
    with pytest.raises(UsageError, match=r"unknown field 'optimizer.lrr'; did you mean 'optimizer.lr'"):
        tuned(bench, "optimizer.lrr")
    with pytest.raises(UsageError, match=r"no loss of these runs sets loss\.gama"):
        tuned(bench, "loss.gama")


def test_a_suite_brings_its_presets_losses_tuned_fields_and_figures(bench):
    bench.run("focal", 0, 0.7)
    bench.run("adaptive", 0, 0.7)
    with Store.open(bench.home) as store:
        wanted = asked(store, ["suite:uci", "uci-iris-*", "uci-wine-linear"], (), ())
        assert wanted.presets == ("uci-iris-linear", "uci-wine-linear", "uci-iris-hidden")
        assert (wanted.losses, wanted.tuned) == (("focal",), ("optimizer.lr",))
        assert wanted.published == suites.load("uci").published
        assert asked(store, ["suite:uci"], ["adaptive"], ["batch_size"]).losses == ("adaptive",)
        with pytest.raises(UsageError, match="unknown preset of suite:uci 'uci-iris-linea'"):
            asked(store, ["suite:uci", "uci-iris-linea"], (), ())
        with pytest.raises(UsageError, match="one suite at a time"):
            asked(store, ["suite:uci", "suite:mixing-table3"], (), ())


@pytest.mark.parametrize(("presets", "shown"), [(("uci-iris-linear",), 18), (("uci-iris-linear", "toy"), 0)])
def test_figures_are_kept_where_they_are_about_all_that_is_compared(bench, presets, shown):
    for preset in presets:
        grid(bench, "ce", {0.1: (0.80, 0.70)}, preset=preset)
        grid(bench, "focal", {0.1: (0.60, 0.99)}, preset=preset)
    assert len(tuned(bench, published=suites.load("uci").published).published) == shown


def test_runs_are_chosen_by_when_they_began(bench):
    bench.arm("ce", [0.7, 0.71, 0.72])
    bench.arm("focal", [0.7, 0.71, 0.73])
    now = datetime.now(UTC)
    with Store.open(bench.home) as store:
        assert compare_losses(store, Selection(since=now - timedelta(hours=1), before=now)).panels
        for dates in ({"since": now}, {"before": now - timedelta(hours=1)}):
            with pytest.raises(NothingFound):
                compare_losses(store, Selection(**dates))


def test_mean_ranks_are_drawn_with_what_is_not_told_apart(bench):
    for preset in ("a", "b", "c"):
        for loss, shift in (("ce", 0.0), ("focal", 0.01), ("mae", -0.2)):
            bench.arm(loss, [0.7 + shift, 0.71 + shift, 0.73 + shift * 1.1], preset=preset)
    with Store.open(bench.home) as store:
        table = rank_diagram(compare_losses(store, Selection()).ranking)
    assert [(loss, rank, picture.count("●")) for loss, rank, picture in table.rows[:3]] == [
        ("focal", 1.0, 1),
        ("ce", 2.0, 1),
        ("mae", 3.0, 1),
    ]
    assert [picture.find("●") for *_, picture in table.rows[:3]] == [0, 20, 40]
    assert table.rows[3][0] == "not told apart"
    assert {len(picture) for *_, picture in table.rows} == {41}
