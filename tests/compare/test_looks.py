"""Every look at the test rows is counted once, and a plan made before it is kept to ever after."""

import os

import numpy as np
import pytest

from lossbench.cli.looking import remember as tell_look
from lossbench.compare import Verdict, compare_losses
from lossbench.compare.looks import planned, remember
from lossbench.compare.sequential import look
from lossbench.store import Selection, Store, queries

BASE = np.array([0.7731, 0.7702, 0.7758, 0.7711, 0.7744, 0.7720, 0.7735])
GAINS = np.array([0.001, 0.005, 0.006, 0.0005, 0.0055, 0.0010, 0.0060])


def compared(bench, **options):
    with Store.open(bench.home) as store:
        found = compare_losses(store, Selection(), **options)
    remember(bench.home, found)
    return found.panels[0]


def add(bench, first, last):
    for seed in range(first, last):
        bench.run("ce", seed, BASE[seed])
        bench.run("new", seed, BASE[seed] + GAINS[seed])


def test_the_same_pairs_seen_again_are_no_new_look(bench):
    add(bench, 0, 3)
    assert [compared(bench).looked for _ in range(3)] == [(3,)] * 3
    assert len(list(bench.home.journals.glob("*.jsonl"))) == 2
    add(bench, 3, 5)
    assert compared(bench).looked == (3, 5)
    add(bench, 5, 7)
    assert compared(bench).looked == (3, 5, 7)


@pytest.mark.parametrize("other", [{"metric": "val/top1_acc"}, {"at": "mean:1-2"}])
def test_another_question_has_looks_of_its_own(bench, other):
    for seed in range(3):
        for loss in ("ce", "new"):
            bench.run(loss, seed, 0, epochs=[{"test/top1_acc": 0.7, "val/top1_acc": 0.7}] * 3)
    compared(bench)
    add(bench, 3, 5)
    assert compared(bench).looked == (3, 5)
    assert compared(bench, **({"allow": ()} | other)).looked in ((3,), (5,))


def test_looks_at_validation_rows_are_free(bench):
    for seed in range(3):
        for loss in ("ce", "new"):
            bench.run(loss, seed, 0, epochs=[{"val/top1_acc": 0.7 + seed / 100}] * 3)
    compared(bench, metric="val/top1_acc")
    with Store.open(bench.home) as store:
        assert not queries.marks(store, "look:")


def test_a_plan_holds_for_every_later_comparison(bench):
    add(bench, 0, 5)
    assert compared(bench).contrasts[0].verdict is Verdict.BETTER
    with Store.open(bench.home) as store:
        first = look(store, Selection(), looks=(5, 7))
    assert first.waiting == {"toy": ("new",)}
    remember(bench.home, first.comparison)
    later = compared(bench)
    assert later.plan == planned((5, 7), 0.05)
    assert later.contrasts[0].verdict is not Verdict.BETTER
    assert later.contrasts[0].low < 0 < later.contrasts[0].p
    assert compared(bench, alpha=0.01).plan.level < 0.01


def test_a_mark_that_is_no_look_is_not_counted(bench):
    add(bench, 0, 3)
    from lossbench.store.marks import mark

    with Store.open(bench.home) as store:
        (first, *_) = queries.runs(store)
    for number, text in enumerate(("", "{}", "[]", '{"plan": 3, "pairs": {"new": "x"}}', "5")):
        mark(bench.home, [first.run_id], {f"look:{number:012d}": text})
    assert compared(bench).looked == (3,)


def test_a_look_that_cannot_be_written_down_is_said_and_stops_nobody(bench, capsys):
    add(bench, 0, 3)
    with Store.open(bench.home) as store:
        found = compare_losses(store, Selection())
    me = os.geteuid()
    bench.home.journals.chmod(0o500)
    if me == 0:
        os.seteuid(65534)
    try:
        tell_look(bench.home.root, found)
    finally:
        os.seteuid(me)
        bench.home.journals.chmod(0o700)
    assert "this look is not counted: cannot write to" in capsys.readouterr().err
    assert compared(bench).looked == (3,)
