"""Questions to the store, and the statuses and views they rest on."""

import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbench import processes
from lossbench.errors import NothingFound, UsageError
from lossbench.events import RunMarked
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.store import Selection, Store, queries
from lossbench.store.queries import RunRow
from tests.store.conftest import Teller, a_spec

DEAD = {"pid": 2**22 + 1, "pid_started": 1}


def ids(home: Home, **selection: object) -> list[str]:
    with Store.open(home) as store:
        return [row.run_id for row in queries.runs(store, Selection(**selection))]  # type: ignore[arg-type]


def mark(teller: Teller, run_id: str, **marks: str | bool) -> None:
    with Journal(teller.home) as journal:
        journal.append(RunMarked(run_id=run_id, at=teller.at(), marks=marks))


def test_a_status_is_what_the_last_process_said_or_what_became_of_it(home: Home, tell: Teller) -> None:
    for status in ("done", "diverged", "failed", "interrupted"):
        tell.run(status, status=status, reason=f"because {status}")
    tell.run("running", status=None)
    tell.run("lost", status=None, provenance=DEAD)
    tell.run("rebooted", status=None, provenance={"boot_id": "an earlier boot"})
    tell.run("elsewhere", status=None, provenance={"host": "another machine"})
    tell.run("resumed", status="interrupted")
    tell.run("resumed", status=None, from_epoch=1)
    tell.run("died-again", status="interrupted")
    tell.run("died-again", status=None, from_epoch=1, provenance=DEAD)
    with Store.open(home) as store:
        found = {row.run_id: row for row in queries.runs(store)}
        seen_by_sql = dict(store.sql("SELECT run_id, status FROM run").rows)
    assert {run_id: row.status for run_id, row in found.items()} == {
        "done": "done",
        "diverged": "diverged",
        "failed": "failed",
        "interrupted": "interrupted",
        "running": "running",
        "lost": "lost",
        "rebooted": "lost",
        "elsewhere": "running",
        "resumed": "running",
        "died-again": "lost",
    }
    assert seen_by_sql == {run_id: row.status for run_id, row in found.items()}
    assert found["failed"].reason == "because failed"
    assert (found["resumed"].attempts, found["resumed"].epoch, found["resumed"].ended_at) == (2, 2, None)


def test_a_killed_process_leaves_a_lost_run(home: Home, tell: Teller) -> None:
    code = (
        "import sys, time; from pathlib import Path; from lossbench.home import Home\n"
        "from tests.store.conftest import Teller\n"
        "Teller(Home(Path(sys.argv[1]))).run('child', status=None); print('told', flush=True); time.sleep(600)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "told\n"
        assert ids(home, statuses=("running",)) == ["child"]
        child.kill()
        child.wait()
        assert ids(home, statuses=("lost",)) == ["child"]
        assert ids(home, statuses=("running",)) == []


def test_a_row_says_where_a_run_stands_and_where_it_came_from(home: Home, tell: Teller) -> None:
    spec = a_spec("uci-iris", "focal:gamma=3", seed=4, epochs=9)
    tell.run("one", spec, values=[{"test/nll": 1.0}] * 2, provenance={"device": "cuda:0", "device_name": "H200"})
    with Store.open(home) as store:
        (row,) = queries.runs(store)
    me = processes.identity()
    assert (row.preset, row.loss, row.seed, row.epoch, row.epochs) == ("uci-iris", "focal:gamma=3", 4, 2, 9)
    assert (row.key, row.recipe, row.dataset, row.model) == (spec.key, spec.recipe, "digits", "mlp")
    assert (row.metric, row.metric_at) == ("top1_acc", "last")
    assert (row.host, row.device, row.device_name) == (me["host"], "cuda:0", "H200")
    assert (row.lossbench, row.git_commit, row.git_dirty, row.torch) == ("0.1", "c" * 40, False, "2.15")
    assert (row.started_at, row.ended_at) == (datetime(2026, 1, 1, 0, 0, 1), datetime(2026, 1, 1, 0, 0, 4))
    assert (row.seconds, row.attempts, row.removed, row.tags, row.note, row.name) == (3.0, 1, False, [], "", None)


def test_a_run_in_full_has_its_spec_provenance_and_history(home: Home, tell: Teller) -> None:
    spec = a_spec()
    tell.run("one", spec, status="interrupted")
    tell.run("one", spec, from_epoch=1, status="failed", reason="the disk is full")
    with Store.open(home) as store:
        detail = queries.run(store, "one")
        assert queries.specs(store) == {spec.recipe: spec.resolved()}
        assert queries.specs(store, []) == {}
    assert detail.spec == spec.resolved()
    assert detail.provenance == tell.provenance
    assert [(kind, text) for _, kind, text in detail.events] == [
        ("started", ""),
        ("interrupted", ""),
        ("started", "after epoch 1"),
        ("failed", "the disk is full"),
    ]


@pytest.fixture
def several(home: Home, tell: Teller) -> Home:
    for number, (preset, loss, seed) in enumerate(
        [("uci-iris", "ce", 0), ("uci-wine", "ce", 1), ("digits", "focal:gamma=3", 0), ("digits", "focal", 1)]
    ):
        tell.run(f"run{number}", a_spec(preset, loss, seed), status="failed" if number == 3 else "done")
    mark(tell, "run1", **{"name": "wine", "note": "good", "tag:kept": True, "tag:old": True})
    mark(tell, "run1", **{"tag:old": False})
    mark(tell, "run0", **{"tag:kept": True})
    return home


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"presets": ("uci-*",)}, [0, 1]),
        ({"presets": ("uci-iris", "digits")}, [0, 2, 3]),
        ({"losses": ("focal*",)}, [2, 3]),
        ({"losses": ("focal",)}, [3]),
        ({"seeds": (1,)}, [1, 3]),
        ({"statuses": ("failed",)}, [3]),
        ({"runs": ("run2", "run0")}, [0, 2]),
        ({"tags": ("kept",)}, [0, 1]),
        ({"tags": ("old",)}, []),
        ({"where": "seed = 0 AND preset <> 'digits'"}, [0]),
        ({"where": "spec->>'$.preset.optimizer.lr' = '0.1' OR false -- a comment"}, [0, 1, 2, 3]),
        ({"presets": ("digits",), "seeds": (0,), "where": "epoch > 0"}, [2]),
        ({"presets": ("nothing",)}, []),
        ({"removed": True}, []),
    ],
)
def test_a_selection_takes_the_runs_that_satisfy_all_of_it(
    several: Home, selection: dict[str, object], expected: list[int]
) -> None:
    assert ids(several, **selection) == [f"run{number}" for number in expected]


@pytest.mark.parametrize(
    "where",
    [
        "",
        "sed = 0",
        "seed =",
        "seed = 0) OR (",
        "1); DROP TABLE event; --",
        "seed = $x",
        "(SELECT count(*) FROM read_text('/etc/passwd')) > 0",
        "'abc'",
    ],
)
def test_a_where_that_is_no_expression_over_runs_is_refused_in_one_line(several: Home, where: str) -> None:
    with pytest.raises(UsageError) as caught:
        ids(several, where=where)
    assert "\n" not in str(caught.value)
    assert "--where" in str(caught.value)


@pytest.mark.parametrize("limit", [None, 1, 3, 9])
def test_the_last_runs_in_the_order_of_any_field_are_those_of_all_in_that_order(
    several: Home, tell: Teller, limit: int | None
) -> None:
    tell.run("live", a_spec(seed=7), status=None, values=[])
    mark(tell, "run1", **{"name": "named", "tag:paper": True})
    with Store.open(several) as store:
        every = queries.runs(store)
        for field in fields(RunRow):
            some = sorted(every, key=lambda row: ((value := getattr(row, field.name)) is not None, value))
            for by, expected in ((field.name, some), (f"-{field.name}", backwards(some, field.name))):
                rows, count = queries.listed(store, Selection(), by=by, limit=limit)
                assert (rows, count) == (expected[-limit:] if limit else expected, len(every)), by
        assert queries.listed(store, Selection(presets=("nothing",)), limit=limit) == ([], 0)


def backwards(rows: list[RunRow], name: str) -> list[RunRow]:
    """From the largest value down; those that have the same stay in their order."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: getattr(row, name))]
    return [row for group in reversed(groups) for row in group]


def test_removed_runs_are_out_of_sight_until_restored(several: Home, tell: Teller) -> None:
    mark(tell, "run1", removed=True)
    assert ids(several) == ["run0", "run2", "run3"]
    assert ids(several, removed=True) == ["run1"]
    with Store.open(several) as store:
        assert len(queries.cells(store)) == 3
        assert queries.run(store, "run1").row.removed
    mark(tell, "run1", removed=False)
    assert ids(several) == ["run0", "run1", "run2", "run3"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("run2", ["run2"]),
        ("wine", ["run1"]),
        ("@last", ["run3"]),
        ("@last-3", ["run0"]),
        ("tag:kept", ["run1", "run0"]),
    ],
)
def test_selectors_name_runs(several: Home, selector: str, expected: list[str]) -> None:
    with Store.open(several) as store:
        assert queries.resolve(store, [selector]) == expected


@pytest.mark.parametrize(
    ("selector", "error", "message"),
    [
        ("run", UsageError, "fits 4 runs"),
        ("rum2", UsageError, "did you mean 'run2'"),
        ("win", UsageError, "did you mean 'wine'"),
        ("", UsageError, "no run"),
        ("@last-4", UsageError, "beyond the first of 4 runs"),
        ("@first", UsageError, "no run"),
        ("tag:nothing", NothingFound, "no run has tag:nothing"),
        ("'; DROP TABLE event", UsageError, "no run"),
    ],
)
def test_selectors_that_name_none_or_several_say_so(
    several: Home, selector: str, error: type[Exception], message: str
) -> None:
    with Store.open(several) as store, pytest.raises(error, match=message):
        queries.resolve(store, [selector])


def test_one_run_is_wanted_and_an_empty_store_has_none(several: Home, tmp_path: Path) -> None:
    with Store.open(several) as store, pytest.raises(UsageError, match="names 2 runs"):
        queries.run(store, "tag:kept")
    with Store.open(Home(tmp_path / "empty")) as store, pytest.raises(NothingFound):
        queries.run(store, "@last")


def test_known_values_help_to_name_the_nearest(several: Home) -> None:
    with Store.open(several) as store:
        assert queries.known(store, "preset") == ["digits", "uci-iris", "uci-wine"]
        assert queries.known(store, "seed") == ["0", "1"]


NAN = math.nan
CURVE = [
    {"test/top1_acc": 0.1, "val/top1_acc": 0.5, "test/nll": 3.0, "val/nll": 3.0},
    {"test/top1_acc": 0.2, "val/top1_acc": 0.9, "test/nll": 2.0, "val/nll": 1.0},
    {"test/top1_acc": 0.4, "val/top1_acc": 0.9, "test/nll": 1.0, "val/nll": 2.0},
    {"test/top1_acc": 0.3, "val/top1_acc": NAN, "test/nll": math.inf, "val/nll": -math.inf},
]


@pytest.mark.parametrize(
    ("metric", "split", "at", "value", "epoch", "epochs"),
    [
        ("top1_acc", "test", "last", 0.3, 4, 1),
        ("top1_acc", "test", "best-val", 0.2, 2, 1),
        ("top1_acc", "test", "best-test", 0.4, 3, 1),
        ("top1_acc", "val", "best-val", 0.9, 2, 1),
        ("nll", "test", "best-val", 2.0, 2, 1),
        ("nll", "test", "last", math.inf, 4, 1),
        ("top1_acc", "test", "mean:2-3", 0.3, 3, 2),
        ("top1_acc", "test", "mean:1-4", 0.25, 4, 4),
        ("top1_acc", "test", "mean:3-5", None, 4, 2),
        ("nll", "test", "mean:3-4", math.inf, 4, 2),
    ],
)
def test_what_a_metric_came_to(
    home: Home, tell: Teller, metric: str, split: str, at: str, value: float | None, epoch: int, epochs: int
) -> None:
    tell.run("one", values=CURVE)
    tell.run("other", a_spec(loss="focal"), values=[{"test/seconds": 1.0}])
    with Store.open(home) as store:
        found = queries.finals(store, Selection(), metric, split, at)
    assert found == [queries.Final("one", value if value is None else pytest.approx(value), epoch, epochs)]


@pytest.mark.parametrize("at", ["", "first", "mean", "mean:0-3", "mean:4-3", "mean:1-", "mean:-1-3", "best", "last 5"])
def test_a_bad_epoch_rule_is_refused(home: Home, at: str) -> None:
    with Store.open(home) as store, pytest.raises(UsageError, match="epoch rule"):
        queries.finals(store, Selection(), "nll", at=at)


def test_the_best_epoch_needs_a_better_side(home: Home) -> None:
    with Store.open(home) as store, pytest.raises(UsageError, match="better side"):
        queries.finals(store, Selection(), "entropy", at="best-val")


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_the_mean_over_epochs_is_the_mean_of_the_stored_values(values: list[float], one: int, other: int) -> None:
    first, last = min(one, other), min(max(one, other), len(values))
    if first > last:
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.create()
        Teller(home).run("one", values=[{"test/nll": value} for value in values])
        with Store.open(home) as store:
            (found,) = queries.finals(store, Selection(), "nll", at=f"mean:{first}-{last}")
            (curve,) = queries.curves(store, Selection(), "nll")
    assert found.value == pytest.approx(math.fsum(values[first - 1 : last]) / (last - first + 1), rel=1e-12, abs=1e-9)
    assert curve.values.tolist() == values
    assert curve.epochs.tolist() == list(range(1, len(values) + 1))


def test_the_latest_record_of_a_repeated_epoch_counts_everywhere(home: Home, tell: Teller) -> None:
    tell.run("one", values=[{"test/nll": 3.0}, {"test/nll": 2.0}], status=None, provenance=DEAD)
    tell.run("one", values=[{"test/nll": 7.0}, {"test/nll": 5.0}], from_epoch=1)
    with Store.open(home) as store:
        (curve,) = queries.curves(store, Selection(), "nll")
        assert curve.values.tolist() == [3.0, 7.0, 5.0]
        assert queries.finals(store, Selection(), "nll", at="mean:1-3") == [queries.Final("one", 5.0, 3, 3)]
        assert store.sql("SELECT epoch, value FROM epoch ORDER BY epoch").rows == [(1, 3.0), (2, 7.0), (3, 5.0)]
        assert store.sql("SELECT epoch, value FROM final").rows == [(3, 5.0)]


def test_curves_keep_what_is_not_finite_and_come_in_the_order_of_the_runs(home: Home, tell: Teller) -> None:
    tell.run("zzz", values=CURVE)
    tell.run("aaa", a_spec(seed=1), values=CURVE[:1])
    with Store.open(home) as store:
        curves = queries.curves(store, Selection(), "nll")
        assert queries.curves(store, Selection(), "nothing") == []
        assert {(each.split, each.name, each.runs) for each in queries.metrics(store)} == {
            ("test", "nll", 2),
            ("test", "top1_acc", 2),
            ("val", "nll", 2),
            ("val", "top1_acc", 2),
        }
    assert [curve.run_id for curve in curves] == ["zzz", "aaa"]
    assert curves[0].values.tolist() == [3.0, 2.0, 1.0, math.inf]
    assert (curves[0].epochs.dtype, curves[0].values.dtype) == (np.int64, np.float64)


def test_predictions_come_as_arrays_and_the_latest_count(home: Home, tell: Teller) -> None:
    tell.run("one", predictions=True)
    tell.run("one", predictions=True, from_epoch=1)
    tell.run("none", a_spec(seed=1))
    with Store.open(home) as store:
        found = queries.predictions(store, Selection())
        assert queries.predictions(store, Selection(), split="val") == {}
    assert list(found) == ["one"]
    kept = found["one"]
    assert kept.epoch == 2
    assert (kept.label.tolist(), kept.predicted.tolist(), kept.rank.tolist()) == ([0, 1, 2], [0, 2, 2], [0, 1, 0])
    assert (kept.p_true.tolist(), kept.p_max.tolist()) == ([0.5, 0.25, 1.0], [0.5, 0.75, 1.0])


@pytest.mark.parametrize(
    ("attempts", "best"),
    [
        (["failed", "interrupted"], 1),
        (["interrupted", "failed"], 0),
        (["done", "interrupted", "failed"], 0),
        (["diverged", None], 0),
        ([None, "interrupted"], 0),
        (["done", "done"], 1),
    ],
)
def test_a_cell_is_as_good_as_its_best_attempt(home: Home, tell: Teller, attempts: list[str | None], best: int) -> None:
    for number, status in enumerate(attempts):
        tell.run(f"run{number}", status=status)  # type: ignore[arg-type]
    with Store.open(home) as store:
        (cell,) = queries.cells(store).values()
    assert (cell.key, cell.run_id) == (a_spec().key, f"run{best}")


def test_of_two_attempts_that_can_go_on_the_further_one_is_the_cells(home: Home, tell: Teller) -> None:
    tell.run("far", values=[{"test/nll": 1.0}] * 2, status=None, provenance=DEAD)
    tell.run("near", status="interrupted")
    with Store.open(home) as store:
        assert queries.cells(store)[a_spec().key] == queries.Cell(a_spec().key, "far", "lost", 2)


SAMPLES = Path(__file__).parent / "samples"


@pytest.mark.parametrize("version", sorted(folder.name for folder in SAMPLES.glob("v*/")))
def test_journals_of_every_past_version_give_todays_views(tmp_path: Path, version: str) -> None:
    home = Home(tmp_path / "home")
    home.create()
    for journal in (SAMPLES / version).glob("*.jsonl"):
        (home.journals / journal.name).write_bytes(journal.read_bytes())
    with Store.open(home) as store:
        assert store.notes == []
        shown = {
            view: {"columns": rows.columns, "rows": [[str(value) for value in row] for row in rows.rows]}
            for view in ("run", "epoch", "final", "cell")
            for rows in [store.sql(f"SELECT * FROM {view} ORDER BY ALL")]
        }
    golden = json.loads((SAMPLES / "views.json").read_text())
    assert json.loads(json.dumps(shown)) == golden
