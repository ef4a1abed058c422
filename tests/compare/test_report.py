import csv
import io
import json
import re

import pytest

from lossbench import render
from lossbench.compare import compare_losses
from lossbench.render.comparison import comparison_document
from lossbench.render.explain import FORMULAS
from lossbench.render.values import Table
from lossbench.store import Selection, Store

BASE = (0.7731, 0.7702, 0.7758, 0.7711, 0.7744)
ADAPTIVE = (0.7769, 0.7735, 0.7740, 0.7762, 0.7791)


@pytest.fixture
def comparison(bench):
    for preset in ("one", "two", "three"):
        bench.arm("ce", BASE, preset=preset)
        bench.arm("adaptive", ADAPTIVE, preset=preset)
        bench.arm("focal", [value - 0.02 - 0.0001 * seed for seed, value in enumerate(BASE)], preset=preset)
        bench.arm("focal:gamma=0", BASE, preset=preset)
        bench.run("adaptive", 5, 0.5, preset=preset, status="diverged")
        bench.arm("poly1", BASE[:2], preset=preset)
    with Store.open(bench.home) as store:
        return compare_losses(store, Selection())


def text(value, format="table", width=80):
    return render.document(comparison_document(value), format, width=width, color=False)


def test_every_line_fits_eighty_columns(comparison):
    assert max(map(len, text(comparison).splitlines())) <= 80


def test_verdicts_come_first_and_caveats_last(comparison):
    document = comparison_document(comparison)
    headings = [section.heading for section in document.sections]
    assert headings == ["Verdict", "one", "two", "three", "Over all presets", "Caveats"]


def test_every_verdict_is_a_sentence(comparison):
    shown = " ".join(text(comparison, width=None).split())
    assert "one: top-1 accuracy on test, last epoch, against ce" in shown
    assert re.search(
        r"adaptive: underpowered, needs about 18 seeds \(\d+ to \d+\) to see 0\.20 points; "
        r"\+0\.30 points \[-0\.\d\d, \+0\.\d\d\] in 5 pairs; 1 of 6 diverged",
        shown,
    )
    assert "focal: worse, by more than 0.20 points; -2.02 points" in shown
    assert "focal:gamma=0: equivalent, identical in all 5 seeds; check that the loss is applied" in shown
    assert "poly1: insufficient data; +0.00 points in 2 pairs" in shown


@pytest.mark.parametrize("metric", ["best-test", "welch", "nll"])
def test_caveats(bench, metric):
    for loss, first in (("ce", 0), ("adaptive", 7 if metric == "welch" else 0)):
        for seed in range(3):
            values = {"test/top1_acc": 0.5 + 0.01 * seed, "test/nll": 1.0 + 0.01 * seed}
            bench.run(loss, first + seed, None, epochs=[values] * 3)
    options = {"best-test": {"at": "best-test"}, "welch": {}, "nll": {"metric": "nll"}}[metric]
    with Store.open(bench.home) as store:
        shown = " ".join(text(compare_losses(store, Selection(), **options)).split())
    expected = {
        "best-test": ("no verdict, as the epoch was picked on the test set", "flatter the noisier loss"),
        "welch": ("Welch's test, unpaired", "hand-picked list"),
        "nll": ("exploratory", "without --min-effect"),
    }[metric]
    assert [each for each in expected if each not in shown] == []


def test_the_ranking_holds_each_loss_against_the_first_by_conovers_test(comparison):
    ranking = comparison.ranking
    first, *others = sorted(range(len(ranking.losses)), key=lambda each: ranking.mean_ranks[each])
    (table,) = (
        item
        for section in comparison_document(comparison).sections
        for item in section.body
        if isinstance(item, Table) and item.name == "ranking"
    )
    assert [row[-1] for row in table.rows] == [None, *(ranking.conover_p[first][each] for each in others)]
    assert table.rows[-1][-1] < 0.05


def test_losses_that_a_preset_lacks_are_named_beside_the_ranking(bench):
    for preset in ("one", "two"):
        bench.arm("ce", BASE, preset=preset)
        bench.arm("adaptive", ADAPTIVE, preset=preset)
    bench.arm("focal", ADAPTIVE, preset="two")
    with Store.open(bench.home) as store:
        found = compare_losses(store, Selection())
        picked = compare_losses(store, Selection(), at="best-test")
    assert (found.ranking.losses, found.ranking.left_out) == (("ce", "adaptive"), ("focal",))
    assert "Not ranked, as some preset has no value of them: focal." in text(found)
    assert "ahead on 2 and behind on 0 of 2 presets" in " ".join(text(found).split())
    assert "2 presets, epochs PICKED ON THE TEST SET" in " ".join(text(picked).split())


def test_a_verdict_beside_a_joint_interval_with_0_is_explained(bench):
    bench.arm("ce", BASE)
    bench.arm("adaptive", [value - 0.02 for value in BASE[:-1]] + [BASE[-1] - 0.021])
    bench.arm("focal", [value + 0.001 + 0.00045 * (seed - 2) for seed, value in enumerate(BASE)])
    with Store.open(bench.home) as store:
        found = compare_losses(store, Selection(), min_effect=0.1)
    focal = found.panels[0].contrasts[1]
    assert (focal.verdict, focal.joint_low < 0 < focal.joint_high) == ("better", True)
    assert "toy: focal is better by its adjusted p" in " ".join(text(found).split())


def test_all_formats_hold_the_same_values(comparison):
    document = comparison_document(comparison)
    whole = json.loads(text(comparison, "json", None))
    assert whole["schema_version"] == 1
    records = whole["rows"]
    versioned = [record | {"schema_version": 1} for record in records]
    assert versioned == [json.loads(line) for line in text(comparison, "jsonl", None).splitlines()]
    rows = list(csv.DictReader(io.StringIO(text(comparison, "csv", None))))
    assert {row["schema_version"] for row in rows} == {"1"}
    assert len(rows) == len(records) == len(document.records.rows) == 12
    for row, record in zip(rows, records, strict=True):
        for key, value in record.items():
            if isinstance(value, float):
                assert float(row[key]) == value
            else:
                assert row[key] == ("" if value is None else str(value))
    contrast = comparison.panels[0].contrasts[0]
    for field in ("gain", "low", "high", "p", "p_adjusted", "flip_p", "hedges", "superiority", "detectable", "n", "t"):
        assert records[0][field] == getattr(contrast, field)


@pytest.mark.parametrize("format", ["md", "latex"])
def test_text_formats_hold_every_value_in_full_and_rounded_on_demand(comparison, format):
    document = comparison_document(comparison)
    rows = list(csv.reader(io.StringIO(text(comparison, "csv", None))))
    whole = render.document(document, format, width=None, color=False)
    joint = " | " if format == "md" else " & "
    escaped = whole.replace("\\", "")
    assert all(joint.join(row[:-1]) in escaped for row in rows)
    assert "schema_version: 1" in whole
    rounded = render.document(document, format, width=None, color=False, digits=2)
    assert all(cell in rounded for cell in ("+0.30", "0.0725", "0.1250", "0.0625", "0.86", "0.84", "0.26"))


def test_every_number_is_explained(comparison):
    document = comparison_document(comparison, explain=True)
    tables = [item for section in document.sections for item in section.body if isinstance(item, Table)]
    keys = {column.key for table in tables for column in table.columns if column.numeric}
    assert keys - FORMULAS.keys() == set()
    assert document.sections[-1].heading == "Formulas"
    for number in ("g_z: ", "Nemenyi distance: ", "from (pooled_low): "):
        assert any(line.startswith(number) for line in document.sections[-1].body)
