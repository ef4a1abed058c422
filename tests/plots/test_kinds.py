"""Every kind of chart from a store: the right numbers, the golden picture, one sentence for what cannot be drawn."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossbench import charts, plots
from lossbench.charts import Bars, Box, Cells, Figure, Line, Points
from lossbench.errors import LossbenchError, NotComparable, NothingFound, UsageError
from lossbench.home import Home
from lossbench.plots import KINDS, Request, runs
from lossbench.store import Selection, Store, queries

GOLDEN = Path(__file__).parents[1] / "golden" / "charts"
UPDATE = "LOSSBENCH_UPDATE_GOLDEN=1 pytest tests/plots/test_kinds.py"
TWO = Request(selection=Selection(presets=("digits-mlp", "wine-linear")))
ONE = Request(selection=Selection(presets=("digits-mlp",)))
GRID = Request(selection=Selection(presets=("grid",)))


def lines(figure: Figure, series: str, panel: int = 0) -> list[Line]:
    index = figure.series.index(series)
    return [mark for mark in figure.panels[panel].marks if isinstance(mark, Line) and mark.series == index]


def finals(bench: Store, preset: str, loss: str) -> dict[int, float]:
    selection = Selection(presets=(preset,), losses=(loss,), statuses=("done",))
    values = {each.run_id: each.value for each in queries.finals(bench, selection, "top1_acc")}
    return {row.seed: 100 * values[row.run_id] for row in queries.runs(bench, selection)}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("kind", KINDS)
def test_golden(kind: str, width: int, bench: Store) -> None:
    figure = plots.figure(kind, bench, GRID if kind == "sweep" else TWO)
    text = charts.text(figure, width=width, height=width // 4 + 3, color=False, endless=True)
    path = GOLDEN / f"{kind}-{width}.txt"
    if os.environ.get("LOSSBENCH_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} has changed; if that is right: {UPDATE}"


@pytest.mark.parametrize("kind", KINDS)
def test_titles_say_on_what_and_captions_how_many(kind: str, bench: Store) -> None:
    figure = plots.figure(kind, bench, GRID if kind == "sweep" else TWO)
    if kind not in ("cd", "profile", "ranks"):
        assert "digits-mlp" in figure.title or "grid" in figure.title
    assert figure.caption
    assert all(panel.x.title for panel in figure.panels)


def test_curves_are_means_with_t_intervals(bench: Store) -> None:
    figure = plots.figure("curves", bench, ONE)
    (line,) = lines(figure, "ce")
    found = np.array(list(finals(bench, "digits-mlp", "ce").values()))
    half = 2.7764451051977987 * found.std(ddof=1) / np.sqrt(5)
    assert line.x.tolist() == list(range(1, 21))
    assert line.y[-1] == pytest.approx(found.mean())
    assert (line.high - line.low)[-1] == pytest.approx(2 * half)


def test_profiles_are_of_errors_and_of_accuracies(bench: Store) -> None:
    figure = plots.figure("profile", bench, replace(TWO, metrics=("top1_acc",)))
    of_errors, of_accuracies = figure.panels
    assert all(mark.x.min() == 1 for mark in of_errors.marks)
    assert all(mark.x.max() == 1 for mark in of_accuracies.marks)
    # On each preset some loss is the best, and at the far end every loss has arrived on all presets.
    best = [sum(mark.y[mark.x == 1].max() for mark in panel.marks) for panel in figure.panels]
    assert all(share >= 100 for share in best)
    assert {mark.y[-1] for mark in of_errors.marks} == {mark.y[0] for mark in of_accuracies.marks} == {100}


def test_profiles_of_a_metric_without_an_accuracy_are_of_errors_alone(bench: Store) -> None:
    (panel,) = plots.figure("profile", bench, replace(TWO, metrics=("nll",))).panels
    assert "error" in panel.x.title


def test_profiles_need_ratios(bench: Store) -> None:
    with pytest.raises(NothingFound, match="throughput has none of; choose --metric top1_acc"):
        plots.figure("profile", bench, replace(TWO, metrics=("train/samples_per_second",)))


def test_bands_of_every_kind(bench: Store) -> None:
    found = np.array(list(finals(bench, "digits-mlp", "ce").values()))
    (sd,) = lines(plots.figure("curves", bench, replace(ONE, band="sd")), "ce")
    assert sd.high[-1] == pytest.approx(found.mean() + found.std(ddof=1))
    (minmax,) = lines(plots.figure("curves", bench, replace(ONE, band="minmax")), "ce")
    assert (minmax.low[-1], minmax.high[-1]) == pytest.approx((found.min(), found.max()))
    *seeds, mean = lines(plots.figure("curves", bench, replace(ONE, band="seeds")), "ce")
    assert sorted(each.y[-1] for each in seeds) == pytest.approx(sorted(found))
    assert all(each.thin for each in seeds)
    assert mean.low is None


def test_one_run_is_a_curve_without_a_band(bench: Store) -> None:
    request = Request(selection=Selection(presets=("digits-mlp",), losses=("ce",), seeds=(0,)))
    figure = plots.figure("curves", bench, request)
    (line,) = lines(figure, "ce")
    assert line.low is None
    assert "interval" not in figure.caption


def test_smoothing_averages_backwards_and_from_cuts(bench: Store) -> None:
    (raw,) = lines(plots.figure("curves", bench, ONE), "ce")
    (smooth,) = lines(plots.figure("curves", bench, replace(ONE, smooth=3, first_epoch=11)), "ce")
    assert smooth.x.tolist() == list(range(11, 21))
    assert smooth.y[0] == pytest.approx(raw.y[8:11].mean())
    (young,) = lines(plots.figure("curves", bench, replace(ONE, smooth=3)), "ce")
    assert young.y[:2] == pytest.approx([raw.y[0], raw.y[:2].mean()])


def test_metrics_and_splits_become_panels(bench: Store) -> None:
    request = replace(ONE, metrics=("top1_acc", "test/nll"), splits=("train", "test"))
    titles = [panel.y.title for panel in plots.figure("curves", bench, request).panels]
    assert titles == ["train top-1 accuracy", "test top-1 accuracy", "test NLL"]


def test_the_learning_rate_step_is_marked(bench: Store) -> None:
    request = Request(selection=Selection(presets=("digits-mlp",), losses=("ce",)))
    figure = plots.figure("curves", bench, request)
    assert "epoch 16" in figure.caption


def test_a_diverged_run_is_counted_not_averaged(bench: Store) -> None:
    figure = plots.figure("curves", bench, Request(selection=Selection(presets=("wine-linear",))))
    (line,) = lines(figure, "ce-el:focus=0-0.5")
    assert np.isfinite(line.y).all()
    assert "left out: 1 diverged" in figure.caption


def test_a_seed_that_is_still_training_does_not_cut_the_curve_of_the_others(bench: Store) -> None:
    rows = runs.select(bench, ONE)
    (group, *_) = runs.grouped(rows)
    *done, last = group.runs
    assert replace(group, runs=(*done, last._replace(status="running"))).averaged == tuple(done)
    begun = replace(group, runs=tuple(row._replace(status="running") for row in group.runs))
    assert begun.averaged == begun.runs


def test_runs_without_the_metric_are_counted(bench: Store) -> None:
    figure = plots.figure("curves", bench, replace(ONE, metrics=("nll",)))
    assert "without" not in figure.caption
    figure = plots.figure("curves", bench, replace(ONE, metrics=("brier",)))
    assert figure.series == ("ce", "", "")
    assert "10 without test/brier" in figure.caption


@pytest.mark.parametrize("kind", ["box", "strip"])
def test_runs_without_a_final_value_are_counted_beneath(bench: Store, kind: str) -> None:
    assert "without" not in plots.figure(kind, bench, ONE).caption
    figure = plots.figure(kind, bench, replace(ONE, metrics=("brier",)))
    assert "10 without a finite test/brier at the end" in figure.caption


def test_differences_pair_by_seed(bench: Store) -> None:
    figure = plots.figure("diff", bench, ONE)
    (line,) = lines(figure, "adaptive")
    base, other = finals(bench, "digits-mlp", "ce"), finals(bench, "digits-mlp", "adaptive")
    gains = np.array([other[seed] - base[seed] for seed in base])
    assert line.y[-1] == pytest.approx(gains.mean())
    assert (line.high - line.low)[-1] == pytest.approx(2 * 2.7764451051977987 * gains.std(ddof=1) / np.sqrt(5))


def test_differences_of_a_loss_metric_are_turned_so_that_up_is_better(bench: Store) -> None:
    figure = plots.figure("diff", bench, replace(ONE, metrics=("nll",)))
    (line,) = lines(figure, "adaptive")
    (ours,), (base,) = (
        lines(plots.figure("curves", bench, replace(ONE, metrics=("nll",))), loss) for loss in ("adaptive", "ce")
    )
    assert line.y == pytest.approx(base.y - ours.y)


def test_a_filter_on_losses_keeps_the_baseline(bench: Store) -> None:
    request = Request(selection=Selection(presets=("digits-mlp",), losses=("adaptive",)))
    assert plots.figure("diff", bench, request).series == ("", "adaptive")


def test_boxes_and_points_hold_the_final_values(bench: Store) -> None:
    found = finals(bench, "digits-mlp", "ce")
    (box, *_) = [mark for mark in plots.figure("box", bench, ONE).panels[0].marks if isinstance(mark, Box)]
    assert (box.low, box.median, box.high) == pytest.approx(tuple(np.quantile(list(found.values()), [0, 0.5, 1])))
    marks = plots.figure("strip", bench, ONE).panels[0].marks
    (points, *_) = [mark for mark in marks if isinstance(mark, Points)]
    assert sorted(points.x) == pytest.approx(sorted(found.values()))
    assert sum(isinstance(mark, Line) for mark in marks) == len(found)


def test_each_preset_is_read_by_its_own_rule(bench: Store) -> None:
    rules = {"digits-mlp": "last", "wine-linear": "mean:11-20"}
    rows = [row._replace(metric_at=rules[row.preset]) for row in runs.select(bench, TWO)]
    values, named = runs.finals(bench, TWO, *runs.quantities(bench, TWO, rows), rows)
    assert named == "last or mean:11-20"
    expected = {
        each.run_id: 100 * each.value
        for preset, at in rules.items()
        for each in queries.finals(bench, Selection(presets=(preset,), statuses=("done",)), "top1_acc", at=at)
    }
    assert values == pytest.approx(expected)
    assert len(values) == 29


def test_a_forest_agrees_with_compare(bench: Store) -> None:
    from lossbench.compare import compare_losses

    found = compare_losses(bench, TWO.selection)
    drawn = [mark for mark in plots.figure("forest", bench, TWO).panels[0].marks if isinstance(mark, Points)]
    effects = {each.gain for panel in found.panels for each in panel.contrasts} | {each.gain for each in found.across}
    assert sorted(float(mark.x[0]) for mark in drawn) == pytest.approx(sorted(100 * gain for gain in effects))


def test_ranks_average_to_the_mean_ranks(bench: Store) -> None:
    (panel,) = plots.figure("ranks", bench, TWO).panels
    (cells,) = panel.marks
    counts = np.nan_to_num(cells.values)
    means = counts @ np.array([float(name) for name in panel.x.names]) / counts.sum(axis=1)
    assert means == pytest.approx([float(name.split()[-1]) for name in panel.y.names], abs=0.005)
    assert means.sum() == pytest.approx(6)


def test_calibration_counts_every_prediction(bench: Store) -> None:
    figure = plots.figure("calibration", bench, ONE)
    curve, share = lines(figure, "ce", 0)[0], lines(figure, "ce", 1)[0]
    assert share.y.sum() == pytest.approx(100)
    assert len(curve.x) == np.count_nonzero(share.y)
    kept = queries.predictions(bench, Selection(presets=("digits-mlp",), losses=("ce",))).values()
    right = np.concatenate([each.label == each.predicted for each in kept])
    assert curve.y @ share.y[share.y > 0] / 100 == pytest.approx(100 * right.mean())


def test_confidence_shows_right_and_wrong_rows_apart(bench: Store) -> None:
    figure = plots.figure("confidence", bench, ONE)
    for panel in figure.panels:
        bars = next(mark for mark in panel.marks if isinstance(mark, Bars))
        assert bars.heights.sum() == pytest.approx(100)
        assert bars.heights[:8].sum() == 0


def test_a_sweep_over_two_fields_is_a_grid_and_over_one_a_line(bench: Store) -> None:
    grid = plots.figure("sweep", bench, GRID)
    (cells,) = [mark for mark in grid.panels[0].marks if isinstance(mark, Cells)]
    assert cells.values.shape == (2, 2)
    assert np.isnan(cells.values).sum() == 1
    line = plots.figure("sweep", bench, replace(GRID, fields=("optimizer.momentum",)))
    (first, *_) = lines(line, "ce")
    assert first.x.tolist() == [0.0, 0.9]


def test_recipes_of_one_preset_are_told_apart_above_their_panels(bench: Store) -> None:
    for kind in ("curves", "box"):
        figure = plots.figure(kind, bench, GRID)
        assert figure.title.endswith(" on grid")
        assert [panel.title for panel in figure.panels] == [
            "grid optimizer.lr=0.1 optimizer.momentum=0.0",
            "grid optimizer.lr=0.1 optimizer.momentum=0.9",
            "grid optimizer.lr=0.01 optimizer.momentum=0.9",
        ]


def test_a_sweep_says_what_else_its_runs_differ_in(bench: Store) -> None:
    alone = plots.figure("sweep", bench, GRID).caption
    assert "seeds" in alone
    mixed = plots.figure("sweep", bench, replace(GRID, fields=("optimizer.momentum",))).caption
    assert mixed.startswith("n = 2 to 4 runs, which differ in seed, optimizer.lr; 95 % t interval")


def test_a_sweep_over_a_knob_joins_the_losses_that_set_it(bench: Store) -> None:
    figure = plots.figure("sweep", bench, replace(TWO, fields=("loss.focus", "optimizer.lr")))
    assert figure.panels[0].title == "ce-el"
    assert figure.panels[0].y.names == ("0-0.5",)


@pytest.mark.parametrize(
    ("kind", "request_", "said"),
    [
        ("curves", replace(ONE, metrics=("nil",)), "did you mean 'nll'"),
        ("curves", replace(ONE, metrics=("macro_recall",)), "no selected run has stored test/macro_recall"),
        ("curves", replace(ONE, metrics=("val/nll",)), "unknown split 'val'"),
        ("curves", Request(selection=Selection(presets=("digits-mpl",))), "did you mean 'digits-mlp'"),
        ("curves", Request(selection=Selection(losses=("adaptve",))), "did you mean 'adaptive'"),
        ("curves", Request(selection=Selection(seeds=(99,))), "no run matches; `lossbench ls` lists what is there"),
        ("diff", Request(selection=ONE.selection, baseline="mae"), "a difference needs runs of mae"),
        ("diff", Request(selection=Selection(where="(loss = 'ce') = (seed = 0)"), smooth=9), "with a seed in common"),
        ("curves", replace(ONE, first_epoch=99), "no selected run has test top-1 accuracy at epoch 99 or later"),
        ("diff", replace(ONE, first_epoch=99), "an epoch of 99 or later"),
        (
            "cd",
            Request(
                selection=Selection(
                    where="loss = 'ce' OR (loss = 'adaptive') = (preset = 'digits-mlp')", presets=TWO.selection.presets
                )
            ),
            "digits-mlp lacks ce-el:focus=0-0.5, wine-linear lacks adaptive",
        ),
        ("cd", ONE, "two presets or more all have; here is only digits-mlp"),
        ("box", replace(ONE, at="mean:30-40"), "no selected run is done and has"),
        ("box", replace(ONE, at="first"), "epoch rule"),
        ("sweep", ONE, "differ in no field"),
        ("sweep", replace(GRID, fields=("optimizer.momentun",)), "did you mean 'optimizer.momentum'"),
        ("sweep", replace(ONE, fields=("loss.gamma",)), "sets loss.gamma"),
        ("sweep", replace(TWO, fields=("loss.fokus",)), "sets loss.fokus; set are loss.focus"),
        ("sweep", replace(ONE, fields=("model.name",)), "not a number everywhere"),
        ("knobs", Request(selection=Selection(losses=("ce",))), "no selected run has a scheduled or learned knob"),
        ("confidence", replace(ONE, splits=("val",)), "no selected run has kept predictions on val"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(kind: str, request_: Request, said: str, bench: Store) -> None:
    with pytest.raises(LossbenchError, match=said) as error:
        plots.figure(kind, bench, request_)
    assert isinstance(error.value, UsageError | NothingFound | NotComparable)
    assert "\n" not in str(error.value)


def test_an_empty_home_has_nothing_to_draw(home: Home) -> None:
    with Store.open(home) as store:
        for kind in KINDS:
            with pytest.raises(NothingFound):
                plots.figure(kind, store, Request(selection=Selection()))
