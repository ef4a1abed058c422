"""Import, export and upkeep: runs arrive once, copies are whole, nothing that is needed is thrown away."""

import shutil
from pathlib import Path

import duckdb
import pytest

from lossbench.errors import StoreBusy, StoreError, UsageError
from lossbench.events import EpochDone, EpochMetrics, RunMarked
from lossbench.home import Home
from lossbench.journal import Journal, journals
from lossbench.store import Store, merge, queries, upkeep
from tests.store.conftest import Teller, a_spec
from tests.store.test_rebuild import shown
from tests.store.test_store import seen, stranger


@pytest.fixture
def other(tmp_path: Path) -> Home:
    made = Home(tmp_path / "other machine" / ".lossbench")
    made.create()
    Teller(made).run("far", a_spec(seed=5), predictions=True)
    return made


@pytest.mark.parametrize("form", ["home with journals only", "home with store", "store file"])
def test_runs_of_another_store_are_added_once(home: Home, tell: Teller, other: Home, form: str) -> None:
    tell.run("near")
    if form != "home with journals only":
        seen(other)
    if form == "home with store":
        Teller(other).run("later", a_spec(seed=6))
    source = other.store if form == "store file" else other.root
    expected = ["near", "far", *(["later"] if form == "home with store" else [])]
    first = merge.import_store(home, source)
    assert first.added > 0
    assert sorted(seen(home)[0]) == sorted(expected)
    before = shown(home)
    again = merge.import_store(home, source)
    assert (again.added, again.known) == (0, first.added)
    assert shown(home) == before
    assert seen(home)[1] == []


def test_merging_both_ways_makes_equal_stores_whatever_came_first(home: Home, tell: Teller, other: Home) -> None:
    tell.run("near")
    tell.run("cut", a_spec(seed=2), status="interrupted")
    merge.import_store(home, other.root)
    merge.import_store(other, home.root)
    assert shown(home) == shown(other)
    for journal in journals(other):
        shutil.copy(journal, home.journals)
    before = shown(home)
    assert seen(home)[1] == []
    assert shown(home) == before


def test_a_run_that_went_on_elsewhere_comes_back_whole(home: Home, tell: Teller, tmp_path: Path) -> None:
    tell.run("one", status="interrupted")
    seen(home)
    copy = Home(tmp_path / "copy")
    shutil.copytree(home.root, copy.root)
    Teller(copy, clock=tell.clock).run("one", from_epoch=1)
    merge.import_store(home, copy.root)
    with Store.open(home) as store:
        row = queries.run(store, "one").row
    assert (row.status, row.epoch, row.attempts) == ("done", 2, 2)


def test_what_is_no_store_is_refused_and_changes_nothing(home: Home, tell: Teller, tmp_path: Path) -> None:
    tell.run("one")
    before = shown(home)
    (tmp_path / "text.duckdb").write_text("hello" * 1000)
    evil = duckdb.connect(str(tmp_path / "evil.duckdb"))
    evil.execute("CREATE TABLE meta AS SELECT 1 AS schema_version")
    evil.execute("CREATE VIEW event AS SELECT 'a' AS attempt, 1 AS seq, content AS body FROM read_text('/etc/passwd')")
    evil.close()
    bare = duckdb.connect(str(tmp_path / "bare.duckdb"))
    bare.execute("CREATE TABLE meta AS SELECT 1 AS schema_version")
    bare.close()
    for source in ("text.duckdb", "evil.duckdb", "bare.duckdb", "nowhere.duckdb"):
        with pytest.raises(StoreError) as caught:
            merge.import_store(home, tmp_path / source)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="this home itself"):
        merge.import_store(home, home.root)
    with stranger(home, "writing"), pytest.raises(StoreBusy):
        merge.import_store(home, tmp_path / "text.duckdb", wait=0.1)
    assert shown(home) == before


def test_records_of_a_hostile_store_that_are_no_events_are_left_out(home: Home, tell: Teller, other: Home) -> None:
    seen(other)
    connection = duckdb.connect(str(other.store))
    connection.execute(
        "UPDATE entry SET body = json_merge_patch(body, '{\"run_id\": \"../../x\"}') WHERE kind = 'ended'"
    )
    connection.execute("INSERT INTO entry VALUES ('x', -1, 'r', 'epoch', 1, 1, now()::TIMESTAMP, NULL, 0, NULL)")
    connection.execute("INSERT INTO entry (attempt) VALUES (NULL)")
    connection.close()
    merged = merge.import_store(home, other.store)
    assert "3 record(s)" in merged.notes[0]
    assert seen(home)[0] == ["far"]


def test_a_backup_is_a_whole_store(home: Home, tell: Teller, tmp_path: Path) -> None:
    tell.run("one", predictions=True)
    target = tmp_path / "it's a copy.duckdb"
    upkeep.backup(home, target)
    copy = Home(tmp_path / "restored")
    copy.root.mkdir()
    shutil.copy(target, copy.store)
    assert shown(copy) == shown(home)
    with pytest.raises(UsageError, match="exists already"):
        upkeep.backup(home, target)
    with pytest.raises(StoreError, match="cannot write"):
        upkeep.backup(home, tmp_path / "nowhere" / "copy.duckdb")


def test_vacuum_drops_only_journals_that_are_whole_in_the_store_and_let_go(home: Home, tell: Teller) -> None:
    tell.run("one")
    with Journal(home) as live:
        live.append(RunMarked(run_id="one", at=tell.at(), marks={"name": "kept"}))
        was, became = upkeep.vacuum(home)
        assert became <= was
        assert journals(home) == [live.path]
        record = EpochMetrics(epoch=2, values={"test/nll": 1.0})
        live.append(EpochDone(run_id="one", at=tell.at(), metrics=record))
    with Store.open(home) as store:
        row = queries.run(store, "kept").row
    assert (row.run_id, row.epoch) == ("one", 2)
    before = shown(home)
    upkeep.vacuum(home)
    assert journals(home) == []
    assert shown(home) == before


def test_vacuum_and_backup_leave_a_held_store_alone(home: Home, tell: Teller, tmp_path: Path) -> None:
    tell.run("one")
    seen(home)
    with stranger(home, "writing"):
        for act in (lambda: upkeep.vacuum(home, wait=0.1), lambda: upkeep.backup(home, tmp_path / "b", wait=0.1)):
            with pytest.raises(StoreBusy, match="held by process"):
                act()
    assert len(journals(home)) == 1


def test_a_sound_store_passes_every_check_and_its_figures_add_up(home: Home, tell: Teller) -> None:
    tell.run("one", values=[{"test/nll": 1.0, "val/nll": 2.0}] * 3)
    tell.run("two", a_spec(seed=1), status="failed")
    assert [finding for finding in upkeep.check(home) if finding.wrong] == []
    told = upkeep.info(home)
    assert (told["runs"], told["runs done"], told["runs failed"], told["metric values"]) == (2, 1, 1, 7)
    assert told["journals"] == 2


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("INSERT INTO entry FROM entry LIMIT 1", "every event counts once"),
        ("DELETE FROM reading", "every epoch's metrics are there"),
        ("DELETE FROM word WHERE run_id IS NULL", "every epoch's metrics are there"),
        ("DELETE FROM spell WHERE status IS NOT NULL", "every end is there"),
        ("DELETE FROM started", "every run has a beginning"),
        ("DELETE FROM entry WHERE epoch = 2", "no epoch is missing between others"),
    ],
)
def test_a_check_finds_what_somebody_did_to_the_tables(home: Home, tell: Teller, damage: str, finding: str) -> None:
    tell.run("one", values=[{"test/nll": 1.0}] * 3)
    seen(home)
    connection = duckdb.connect(str(home.store))
    connection.execute(damage)
    connection.close()
    assert finding in [each.what for each in upkeep.check(home) if each.wrong]


def test_a_check_finds_lines_that_are_no_events(home: Home, tell: Teller) -> None:
    journal = tell.run("one")
    with journal.path.open("a") as lines:
        lines.write("nonsense\n")
    wrong = [each for each in upkeep.check(home) if each.wrong]
    assert {each.what for each in wrong} >= {"every journal line is an event"}
    assert journal.path.name in wrong[0].detail
