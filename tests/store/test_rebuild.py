"""Leaving an earlier schema behind, mending a damaged file, and lifting events."""

import gzip
import json
import math
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from lossbench.errors import StoreBusy, StoreError
from lossbench.events import from_json, to_json
from lossbench.home import Home
from lossbench.journal import read
from lossbench.store import Selection, Store, file, ingest, merge, queries, rebuild, upcast
from tests.store.conftest import Teller, a_spec
from tests.store.test_store import seen, seen_error, stranger

VIEWS = ("run", "epoch", "final", "cell")
SCHEMAS = Path(__file__).parent / "samples" / "schemas"
"""Journals, the store that each schema made of them, and what the views say of it."""


def shown(home: Home) -> dict[str, list[str]]:
    """What the views say, as texts, since NaN equals nothing."""
    with Store.open(home) as store:
        return {view: [repr(row) for row in store.sql(f"SELECT * FROM {view} ORDER BY ALL").rows] for view in VIEWS}


@pytest.fixture
def filled(home: Home, tell: Teller) -> Home:
    tell.run("one", predictions=True, values=[{"test/nll": 2.0}, {"test/nll": float("nan")}])
    tell.run("two", a_spec(seed=1), status="interrupted")
    seen(home)
    return home


def make_older(home: Home) -> None:
    """Give the store the look of an earlier schema: its number, every event whole, and tables that it did not have."""
    connection = duckdb.connect(str(home.store))
    connection.execute("CREATE TABLE told AS FROM event")
    for view in ("cell", "run", "event"):
        connection.execute(f"DROP VIEW {view}")
    connection.execute("ALTER TABLE told RENAME TO event")
    for table in ("spell", "entry"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("ALTER TABLE started DROP COLUMN recipe")
    connection.execute("CREATE OR REPLACE VIEW meta AS SELECT 0 AS schema_version")
    connection.close()


def kept_files(home: Home, label: str) -> list[Path]:
    return sorted(home.root.glob(f"store.{label}.*.duckdb"))


@pytest.mark.parametrize("journals_left", [True, False])
def test_a_store_of_an_earlier_schema_opens_as_if_it_were_new_and_is_kept(filled: Home, journals_left: bool) -> None:
    before = shown(filled)
    make_older(filled)
    if not journals_left:
        for journal in filled.journals.iterdir():
            journal.unlink()
    with Store.open(filled) as store:
        assert "earlier schema" in store.notes[0]
        assert list(queries.predictions(store, Selection())) == ["one"]
    assert shown(filled) == before
    (kept,) = kept_files(filled, "schema-0")
    old = duckdb.connect(str(kept), read_only=True)
    assert old.execute("SELECT schema_version FROM meta").fetchall() == [(0,)]
    old.close()
    assert seen(filled)[1] == []


@pytest.mark.parametrize("journals_left", [True, False])
@pytest.mark.parametrize("schema", range(1, file.SCHEMA_VERSION))
def test_a_store_written_under_every_schema_still_says_all_it_said(
    home: Home, schema: int, journals_left: bool
) -> None:
    home.store.write_bytes(gzip.decompress((SCHEMAS / f"schema{schema}.duckdb.gz").read_bytes()))
    if journals_left:
        shutil.copytree(SCHEMAS / "journal", home.journals, dirs_exist_ok=True)
    with Store.open(home) as store:
        assert len(store.notes) == 1
        said = {
            view: {"columns": list(rows.columns), "rows": [[str(value) for value in row] for row in rows.rows]}
            for view in VIEWS
            for rows in [store.sql(f"SELECT * FROM {view} ORDER BY ALL")]
        }
        events = {
            (attempt, seq): told(json.loads(body))
            for attempt, seq, body in store.sql("SELECT attempt, seq, body FROM event").rows
        }
    assert said == json.loads((SCHEMAS / "views.json").read_text(encoding="utf-8"))
    journals = [line for journal in (SCHEMAS / "journal").iterdir() for line in read(journal)]
    assert events == {(line.attempt, line.seq): told(line.body) for line in journals}
    assert len(kept_files(home, f"schema-{schema}")) == 1


def told(body: dict[str, Any]) -> dict[str, Any]:
    """What an event says, in the form in which NaN equals itself."""
    return to_json(from_json(body))


def test_every_number_comes_back_bit_for_bit(home: Home, tell: Teller) -> None:
    bits = np.random.default_rng(0).integers(0, 2**64, 3000, dtype=np.uint64).view(np.float64)
    edges = [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1e16, 3.0, math.inf, -math.inf]
    values = [*(each for each in bits.tolist() if math.isfinite(each)), *edges]
    tell.run("one", values=[{f"test/a.b/m{i}": value for i, value in enumerate(values)}, {}])
    seen(home)
    for journal in home.journals.iterdir():
        journal.unlink()
    rebuild.rebuild(home)
    with Store.open(home) as store:
        stored = dict(store.sql("SELECT name, value FROM metric").rows)
        bodies = [body for (body,) in store.sql("SELECT body FROM event WHERE kind = 'epoch' ORDER BY seq").rows]
    assert [stored[f"a.b/m{i}"].hex() for i in range(len(values))] == [value.hex() for value in values]
    first, second = (json.loads(body)["metrics"] for body in bodies)
    assert [float(first[f"test/a.b/m{i}"]).hex() for i in range(len(values))] == [value.hex() for value in values]
    assert second == {}


def test_an_older_store_that_may_not_be_rewritten_now_is_shown_from_memory(filled: Home) -> None:
    before = shown(filled)
    make_older(filled)
    with file.locked(filled, wait=0), Store.open(filled, wait=0.1) as store:
        assert "the newest lines of the journals are shown" in store.notes[0]
        said = {view: [repr(row) for row in store.sql(f"SELECT * FROM {view} ORDER BY ALL").rows] for view in VIEWS}
    assert said == before
    assert kept_files(filled, "schema-0") == []


def test_an_upgrade_that_dies_half_way_has_changed_nothing(filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shown(filled)
    make_older(filled)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(merge, "carry_over", dies)
        with pytest.raises(KeyboardInterrupt), Store.open(filled):
            pass
    assert shown(filled) == before


@pytest.mark.parametrize("journals_left", [True, False])
def test_a_rebuild_says_the_same_with_and_without_the_journals(filled: Home, journals_left: bool) -> None:
    before = shown(filled)
    if not journals_left:
        for journal in filled.journals.iterdir():
            journal.unlink()
    assert len(rebuild.rebuild(filled)) == 1
    assert shown(filled) == before
    assert len(kept_files(filled, "before-rebuild")) == 1


def test_a_damaged_store_comes_back_from_its_journals(filled: Home) -> None:
    before = shown(filled)
    whole = filled.store.read_bytes()
    filled.store.write_bytes(whole[: len(whole) // 3])
    assert "`lossbench store rebuild`" in seen_error(filled)
    notes = rebuild.rebuild(filled)
    assert "from the journals alone" in notes[0]
    assert shown(filled) == before
    (kept,) = kept_files(filled, "before-rebuild")
    assert kept.read_bytes() == whole[: len(whole) // 3]


def test_a_damaged_write_ahead_log_is_named_and_left_behind(filled: Home, tell: Teller) -> None:
    before = shown(filled)
    connection = duckdb.connect(str(filled.store))
    connection.execute("SET debug_skip_checkpoint_on_commit = true")
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    connection.execute("INSERT INTO ingested FROM ingested")
    connection.close()
    log = file.log_of(filled.store)
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    log.write_bytes(raw)
    assert "damaged" in seen_error(filled)
    rebuild.rebuild(filled)
    assert shown(filled) == before
    assert not log.exists()


def test_a_store_held_or_newer_is_not_rebuilt(filled: Home) -> None:
    with stranger(filled, "writing"), pytest.raises(StoreBusy, match="held by process"):
        rebuild.rebuild(filled, wait=0.1)
    connection = duckdb.connect(str(filled.store))
    connection.execute("CREATE OR REPLACE VIEW meta AS SELECT 99 AS schema_version")
    connection.close()
    with pytest.raises(StoreError, match="newer lossbench"):
        rebuild.rebuild(filled)
    assert kept_files(filled, "before-rebuild") == []


def test_events_climb_the_ladder_one_step_at_a_time() -> None:
    steps = {0: lambda body: {**body, "b": 1}, 1: lambda body: {"c": body["b"] + 1, "v": body["v"]}}
    assert upcast.upcast({"v": 0}, steps=steps, version=2) == {"v": 2, "c": 2}
    assert upcast.upcast({"v": 1, "b": 5}, steps=steps, version=2) == {"v": 2, "c": 6}
    assert upcast.upcast({"v": 2, "c": 1}, steps=steps, version=2) == {"v": 2, "c": 1}


@pytest.mark.parametrize("version", [None, "1", -1, 0.5, True])
def test_a_version_that_never_was_makes_no_event(version: object) -> None:
    with pytest.raises(ValueError, match="version"):
        upcast.upcast({"v": version})


def test_the_ladder_reaches_from_every_version_to_the_present() -> None:
    assert sorted(upcast.STEPS) == list(range(1, upcast.EVENT_VERSION))


def test_events_of_a_newer_lossbench_wait_for_it(home: Home, tell: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tell.run("one")
    tell.run("two", a_spec(seed=1))
    lines = [line.body for line in read(journal.path)]
    lines[1]["v"] = 2
    journal.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for _ in range(2):
        runs, notes = seen(home)
        assert runs == ["one", "two"]
        assert "version 2, from a newer lossbench" in notes[0]
    with Store.open(home) as store:
        assert store.sql("SELECT count(*) FROM epoch WHERE run_id = 'one'").rows == [(0,)]
    monkeypatch.setattr(ingest, "upcast", lambda body: {**body, "v": 1})
    with Store.open(home) as store:
        assert store.notes == []
        assert store.sql("SELECT count(*) FROM epoch WHERE run_id = 'one'").rows == [(1,)]
        assert queries.run(store, "one").row.status == "done"
