"""Hostile journals: the good lines arrive, the others are counted, and nothing else happens anywhere."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossbench.events import new_run_id, now
from lossbench.home import Home
from lossbench.journal import read
from lossbench.store import Selection, Store, queries
from tests.store.conftest import Teller, a_spec

EPOCH = {"v": 1, "kind": "epoch", "run_id": "good", "at": now(), "epoch": 2, "metrics": {"test/nll": 1.0}}


def everything(home: Home) -> dict[str, Any]:
    """Ask every question there is, so that nothing bad can hide until somebody asks."""
    with Store.open(home) as store:
        rows = queries.runs(store)
        for row in rows:
            queries.run(store, row.run_id)
        queries.cells(store)
        queries.specs(store)
        queries.predictions(store, Selection())
        queries.metrics(store)
        for metric in ("nll", "top1_acc"):
            queries.finals(store, Selection(), metric)
            queries.curves(store, Selection(), metric)
        for view in ("run", "epoch", "final", "cell", "event"):
            store.sql(f"SELECT * FROM {view}")
        return {"runs": [row.run_id for row in rows], "notes": store.notes}


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def started(**changes: Any) -> dict[str, Any]:
    spec = a_spec(seed=9)
    body = {"v": 1, "kind": "started", "run_id": "hostile", "at": now(), "key": spec.key, "recipe": spec.recipe}
    return body | {"spec": spec.resolved(), "from_epoch": 0, "provenance": {}} | changes


DEEP: list[Any] = []
for _ in range(400):
    DEEP = [DEEP]

REFUSED = [
    {},
    {"v": 1},
    {**EPOCH, "run_id": "../../../tmp/escape"},
    {**EPOCH, "run_id": "a" * 65},
    {**EPOCH, "run_id": "x\n"},
    {**EPOCH, "epoch": -1},
    {**EPOCH, "epoch": 10**30},
    {**EPOCH, "epoch": "2"},
    {**EPOCH, "metrics": {"test/nll": 10**400}},
    {**EPOCH, "metrics": {"test/nll": None}},
    {**EPOCH, "metrics": {"test/nll": {"a": 1}}},
    {**EPOCH, "metrics": {"x": 1.0}},
    {**EPOCH, "metrics": {"a/b'); DROP TABLE event; --": 1.0}},
    {**EPOCH, "metrics": None},
    {**EPOCH, "at": "2026-13-01T00:00:00+00:00"},
    {**EPOCH, "at": "infinity"},
    {**EPOCH, "kind": "surprise"},
    {**EPOCH, "v": 0},
    {**EPOCH, "v": "1"},
    {**EPOCH, "note": "\ud800"},
    {**EPOCH, "note": "a\u0000b"},
    started(spec=None),
    started(spec={"preset": {"name": "x", "epochs": 1}, "loss": {"text": "ce"}, "seed": 2**40}),
    started(provenance=[1, 2]),
    started(provenance={"pid": "\ud800"}),
    started(key=3),
]

ACCEPTED = [
    {**EPOCH, "metrics": {}},
    {**EPOCH, "metrics": {"test/nll": "nan", "test/x": "-inf", "test/y": 2**53 - 1}},
    {**EPOCH, "extra": DEEP},
    {**EPOCH, "body": "'; DROP TABLE event; --", "ü": "\u2028 \U0001f600 \\u0041"},
    {**EPOCH, "at": "0001-01-02T00:00:00+00:00"},
    {**EPOCH, "at": "9999-12-30T23:59:59.999999+00:00"},
    {**EPOCH, "run_id": "never-started"},
    started(provenance={"pid": -1, "pid_started": 1e300, "host": ["a"], "git_dirty": "perhaps", "boot_id": None}),
    started(provenance={"host": "\x1b[31m", "deep": DEEP}),
    started(key="", recipe="'\"; --"),
]


def add(home: Home, *raws: bytes) -> Path:
    """A journal with one good event before and one after the given lines."""
    attempt = new_run_id()
    good = [
        json.dumps({**EPOCH, "epoch": epoch, "attempt": attempt, "seq": seq}) for epoch, seq in ((2, 0), (3, 10**6))
    ]
    path = home.journals / f"{attempt}.jsonl"
    middle = [raw.replace(b"ATTEMPT", attempt.encode()) for raw in raws]
    path.write_bytes(b"\n".join([good[0].encode(), *middle, good[1].encode(), b""]))
    return path


def as_line(body: dict[str, Any], seq: int = 1) -> bytes:
    return json.dumps({**body, "attempt": "ATTEMPT", "seq": seq}).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(("bodies", "left_out"), [(REFUSED, len(REFUSED)), (ACCEPTED, 0)], ids=["refused", "accepted"])
def test_hostile_lines_leave_good_ones_in_peace(home: Home, tell: Teller, bodies: list[Any], left_out: int) -> None:
    tell.run("good")
    before = tree(home.root.parent)
    path = add(home, *(as_line(body, seq) for seq, body in enumerate(bodies, 1)))
    told = everything(home)
    assert "good" in told["runs"]
    assert [note for note in told["notes"] if f"{left_out} line(s)" in note] == told["notes"]
    assert bool(told["notes"]) == bool(left_out)
    with Store.open(home) as store:
        assert queries.run(store, "good").row.epoch == 3
        stored = store.sql(f"SELECT count(*) FROM event WHERE attempt = '{path.stem}'").rows[0][0]
    assert stored == 2 + len(bodies) - left_out
    grown = tree(home.root.parent) - before
    assert {name for name in grown if "/journal/" not in name} <= {".lossbench/store.duckdb", ".lossbench/store.lock"}


RAW = [
    b'{"attempt": "ATTEMPT", "seq": 1, "v": 1, "kind": "epoch", "run_id": "good", "at": NaN}',
    b'{"attempt": "ATTEMPT", "seq": 1, "v": 1e999}',
    b'{"attempt": "ATTEMPT", "seq": 99999999999999999999999}',
    b'{"attempt": "ATTEMPT", "seq": -5}',
    b'\xef\xbb\xbf{"attempt": "ATTEMPT", "seq": 1}',
    '{"attempt": "ATTEMPT", "seq": 1}'.encode("utf-16"),
    b"[" * 5000 + b"]" * 5000,
    b"\x00" * 5000,
    b"1" * 5000,
    b"\r",
]


def test_lines_that_are_not_even_json_objects_of_ours_are_counted(home: Home, tell: Teller) -> None:
    tell.run("good")
    add(home, *RAW)
    told = everything(home)
    assert f"{len(RAW)} line(s)" in told["notes"][0]


def test_doubled_keys_and_repeated_numbers_count_once(home: Home, tell: Teller) -> None:
    tell.run("good")
    doubled = as_line(EPOCH).replace(b'"epoch": 2', b'"epoch": {}, "epoch": 2')
    add(home, doubled, as_line({**EPOCH, "metrics": {"test/nll": 9.0}}), as_line(EPOCH, 0))
    told = everything(home)
    assert "2 line(s)" in told["notes"][0]


def test_a_journal_that_is_a_copy_or_a_link_or_cannot_be_read_adds_nothing(home: Home, tell: Teller) -> None:
    journal = tell.run("good")
    (home.journals / "cccccccccc.jsonl").write_bytes(journal.path.read_bytes())
    (home.journals / "dddddddddd.jsonl").symlink_to(journal.path)
    (home.journals / "eeeeeeeeee.jsonl").symlink_to("/dev/zero")
    os.mkfifo(home.journals / "ffffffffff.jsonl")
    assert everything(home)["runs"] == ["good"]
    with Store.open(home) as store:
        assert store.sql("SELECT DISTINCT attempt FROM event").rows == [(journal.attempt,)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_journal_with_any_field_replaced_or_any_bytes_flipped_breaks_nothing(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.create()
        teller = Teller(home)
        teller.run("good")
        victim = teller.run("victim", a_spec(seed=1), predictions=True)
        bodies = [line.body for line in read(victim.path)]
        for body in data.draw(st.lists(st.sampled_from(bodies), max_size=3)):
            target = data.draw(
                st.sampled_from([body, *(each for each in body.values() if isinstance(each, dict) and each)])
            )
            target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON)
        raw = bytearray("".join(json.dumps(body) + "\n" for body in bodies).encode("utf-8", "surrogatepass"))
        for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
            raw[place] ^= data.draw(st.integers(1, 255))
        victim.path.write_bytes(raw)
        assert "good" in everything(home)["runs"]
        assert tree(Path(folder)) >= {"home/store.duckdb"}
        assert {name.split("/")[0] for name in tree(Path(folder))} == {"home"}
