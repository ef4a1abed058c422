"""Opening the store: nothing counts twice, nobody fails because somebody else is there, and bad files are named."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

import lossbench
from lossbench.errors import StoreError, UsageError
from lossbench.events import EpochDone, EpochMetrics, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.store import Selection, Store, file, queries, try_ingest
from tests.store.conftest import Teller, a_spec, at_most

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reading")
print("holding", flush=True)
sys.stdin.read()
"""


@contextmanager
def stranger(home: Home, how: str) -> Iterator[int]:
    """A process that knows nothing of lossbench and has the store open; gives its id."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.store), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


def seen(home: Home, wait: float = 2.0) -> tuple[list[str], list[str]]:
    """The run ids of a home, and the notes."""
    with Store.open(home, wait=wait) as store:
        return [row.run_id for row in queries.runs(store)], store.notes


def test_a_home_nobody_has_used_is_an_empty_store_and_stays_unused(tmp_path: Path) -> None:
    home = Home(tmp_path / ".lossbench")
    with Store.open(home) as store:
        assert queries.runs(store) == []
        assert queries.finals(store, Selection(), "top1_acc") == []
        assert queries.cells(store) == {}
        assert store.sql("SELECT count(*) FROM run").rows == [(0,)]
        assert store.notes == []
    assert not home.root.exists()


def test_the_file_is_complete_without_the_journals(home: Home, tell: Teller) -> None:
    tell.run("one", predictions=True)
    assert seen(home) == (["one"], [])
    shutil.rmtree(home.journals)
    assert seen(home) == (["one"], [])
    with Store.open(home) as store:
        assert list(queries.predictions(store, Selection())) == ["one"]
        assert queries.finals(store, Selection(), "top1_acc")[0].value == 0.5


def test_duckdb_1_5_can_read_the_file(home: Home, tell: Teller) -> None:
    tell.run("one")
    with Store.open(home) as store:
        (tags,) = store.sql("SELECT tags FROM duckdb_databases() WHERE database_name = 'store'").rows[0]
    assert tags["storage_version"].startswith("v1.5")


def test_reading_what_is_known_already_needs_no_lock(home: Home, tell: Teller) -> None:
    tell.run("one")
    assert seen(home) == (["one"], [])
    with FileLock(home.lock), stranger(home, "reading"):
        assert seen(home, wait=0) == (["one"], [])


def test_trainers_never_wait_and_never_fail(home: Home, tell: Teller) -> None:
    tell.run("one")
    with FileLock(home.lock):
        assert try_ingest(home) is False
    assert try_ingest(home) is True
    with stranger(home, "writing"):
        assert try_ingest(home) is False
    home.store.write_text("not a store")
    assert try_ingest(home) is False
    assert seen_error(home)


@pytest.mark.parametrize("how", ["writing", "reading"])
def test_a_stranger_at_the_file_is_named_and_everything_is_shown(home: Home, tell: Teller, how: str) -> None:
    tell.run("one", values=[{"test/top1_acc": 0.1}, {"test/top1_acc": 0.2}])
    assert seen(home) == (["one"], [])
    with stranger(home, how) as pid:
        tell.run("two", a_spec(seed=1), status="interrupted")
        with Store.open(home, wait=0.1) as store:
            assert [row.run_id for row in queries.runs(store)] == ["one", "two"]
            assert [row.status for row in queries.runs(store)] == ["done", "interrupted"]
            assert [final.value for final in queries.finals(store, Selection(), "top1_acc")] == [0.2, 0.5]
            assert store.sql("SELECT count(*) FROM epoch").rows == [(3,)]
            assert store.sql("SELECT count(*) FROM final").rows == [(2,)]
            assert len(queries.cells(store)) == 2
            assert f"process {pid} " in " ".join(store.notes)
            with pytest.raises(UsageError):
                store.sql("SELECT * FROM read_text('/etc/passwd')")
    assert seen(home) == (["one", "two"], [])


def test_what_only_the_held_file_knows_is_shown_to_readers_beside_a_reader(home: Home, tell: Teller) -> None:
    tell.run("one")
    seen(home)
    shutil.rmtree(home.journals)
    home.create()
    with stranger(home, "reading"):
        tell.run("two")
        assert seen(home, wait=0)[0] == ["one", "two"]


def test_another_lossbench_that_writes_for_long_is_named_and_the_journals_are_shown(home: Home, tell: Teller) -> None:
    tell.run("one")
    with FileLock(home.lock):
        runs, notes = seen(home, wait=0.05)
    assert runs == ["one"]
    assert "another lossbench" in notes[0]


def test_a_stranger_is_named_although_others_of_us_are_trying_in_vain_as_well(
    home: Home, tell: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell.run("one")
    seen(home)
    tell.run("two")
    lock, real = FileLock(home.lock, thread_local=False), file.locked
    with stranger(home, "reading") as pid:

        @contextmanager
        def locked_by_others_from_the_first_attempt_on(home: Home, *, wait: float) -> Iterator[None]:
            try:
                with real(home, wait=wait):
                    yield
            finally:
                lock.acquire()

        monkeypatch.setattr(file, "locked", locked_by_others_from_the_first_attempt_on)
        runs, notes = seen(home, wait=0.1)
        lock.release(force=True)
    assert runs == ["one", "two"]
    assert f"held by process {pid} " in notes[0]


def test_this_process_may_have_the_store_open_while_it_trains(home: Home, tell: Teller) -> None:
    tell.run("one")
    with Store.open(home) as store:
        tell.run("two")
        assert try_ingest(home) is False
        assert len(queries.runs(store)) == 1
        assert seen(home, wait=0)[0] == ["one", "two"]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["append", "read", "ingest", "tear", "again"]), max_size=14))
def test_in_any_order_of_writing_and_reading_every_epoch_counts_once(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.create()
        teller = Teller(home)
        teller.run("one", values=(), status=None)
        journal, told = Journal(home), 0
        for step in [*steps, "read"]:
            match step:
                case "append":
                    told += 1
                    record = EpochMetrics(epoch=told, values={"test/nll": float(told)})
                    journal.append(EpochDone(run_id="one", at=now(), metrics=record))
                case "read":
                    with Store.open(home) as store:
                        stored = store.sql("SELECT epoch, value FROM metric ORDER BY ALL").rows
                        assert stored == [(epoch, float(epoch)) for epoch in range(1, told + 1)]
                case "ingest":
                    assert try_ingest(home)
                case "tear":
                    with journal.path.open("ab") as file:
                        file.write(b'{"half a line": ')
                    journal._sound = False
                case "again":
                    journal.__exit__()
                    journal = Journal(home)
        journal.__exit__()


def seen_error(home: Home) -> str:
    with pytest.raises(StoreError) as caught, Store.open(home):
        pass
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_files_that_are_no_store_of_ours_are_refused_in_one_line_and_left_as_they_are(home: Home, tell: Teller) -> None:
    tell.run("one")
    home.store.write_text("SQLite format 3, or anything else that is longer than a header" * 200)
    before = home.store.read_bytes()
    assert "is not a DuckDB file" in seen_error(home)
    assert home.store.read_bytes() == before

    home.store.unlink()
    duckdb.connect(str(home.store)).execute("CREATE TABLE mine (a INTEGER)").close()
    before = home.store.read_bytes()
    assert "not a store of lossbench" in seen_error(home)
    assert home.store.read_bytes() == before

    home.store.unlink()
    duckdb.connect(str(home.store)).execute("CREATE TABLE meta (schema_version VARCHAR)").close()
    assert "not a store of lossbench" in seen_error(home)

    home.store.unlink()
    home.store.mkdir()
    assert "cannot open" in seen_error(home)


def test_a_store_of_a_newer_lossbench_is_refused(home: Home, tell: Teller) -> None:
    tell.run("one")
    seen(home)
    connection = duckdb.connect(str(home.store))
    connection.execute("CREATE OR REPLACE VIEW meta AS SELECT 99 AS schema_version")
    connection.close()
    assert "newer lossbench" in seen_error(home)


def test_a_damaged_file_is_refused_with_the_way_out(home: Home, tell: Teller) -> None:
    tell.run("one")
    seen(home)
    whole = home.store.read_bytes()
    home.store.write_bytes(whole[: len(whole) // 3])
    message = seen_error(home)
    assert str(home.store) in message


@pytest.fixture
def modest() -> Iterator[Path]:
    """A folder in which this process, root or not, has the rights of an ordinary user."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        # What Python imports on first use may lie where an ordinary user cannot read it.
        first = Home(path / "first")
        first.create()
        Teller(first).run("first")
        seen(first)
        me = os.geteuid()
        if me == 0:
            os.seteuid(65534)
        try:
            if not os.access(lossbench.__file__, os.R_OK, effective_ids=True):
                pytest.skip("nobody but root can read this checkout")
            yield path
        finally:
            os.seteuid(me)


def test_a_read_only_home_can_be_read_to_the_last_line(modest: Path) -> None:
    home = Home(modest / ".lossbench")
    home.create()
    Teller(home).run("one")
    assert seen(home) == (["one"], [])
    Teller(home).run("two")
    home.root.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        runs, notes = seen(home, wait=0)
        assert runs == ["one", "two"]
        assert "not writable" in notes[0]
        assert try_ingest(home) is False
    finally:
        home.root.chmod(0o700)


def test_an_unreadable_home_is_named_and_not_taken_for_an_empty_one(modest: Path) -> None:
    home = Home(modest / ".lossbench")
    home.create()
    Teller(home).run("one")
    home.root.chmod(0)
    try:
        assert "cannot read" in seen_error(home)
    finally:
        home.root.chmod(0o700)


def test_on_a_full_disk_everything_can_be_read_and_is_taken_in_later(home: Home, tell: Teller) -> None:
    tell.run("one")
    seen(home)
    tell.run("two", a_spec(seed=1), values=[{f"test/m{number}": 1 / number for number in range(1, 200)}] * 200)
    with at_most(home.store.stat().st_size // 2):
        assert try_ingest(home) is False
        runs, notes = seen(home, wait=0)
    assert runs == ["one", "two"]
    assert "the disk is full" in notes[0]
    assert seen(home) == (["one", "two"], [])
    with Store.open(home) as store:
        assert store.sql("SELECT count(*) FROM metric").rows == [(1 + 200 * 199,)]


HOSTILE_SQL = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "COPY run TO '/tmp/out.csv'",
    "ATTACH '/tmp/other.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "EXPORT DATABASE '/tmp/out'",
    "DROP VIEW run",
    "DELETE FROM event",
    "INSERT INTO event SELECT * FROM event",
    "WITH gone AS (DELETE FROM event RETURNING *) SELECT * FROM gone",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "CALL pragma_version()",
    "CHECKPOINT",
    "SELECT 1; SELECT 2",
    "SELECT getenv('HOME')",
    "",
    ";",
    "SELEC 1",
    "SELECT nothing FROM run",
    "SELECT * FROM runs",
]


@pytest.mark.parametrize("statement", HOSTILE_SQL)
def test_users_sql_reads_this_store_and_reaches_nothing_else(home: Home, tell: Teller, statement: str) -> None:
    tell.run("one")
    with Store.open(home) as store:
        with pytest.raises(UsageError) as caught:
            store.sql(statement)
        assert "\n" not in str(caught.value)
        assert store.sql("SELECT run_id FROM run").rows == [("one",)]


def test_reading_statements_are_welcome(home: Home, tell: Teller) -> None:
    tell.run("one")
    with Store.open(home) as store:
        assert store.sql("SELECT run_id, seed FROM run").columns == ("run_id", "seed")
        assert store.sql("WITH a AS (SELECT 1 AS b) FROM a;").rows == [(1,)]
        assert store.sql("DESCRIBE run").rows[0][0] == "run_id"
        assert store.sql("EXPLAIN SELECT 1").rows
        assert {"run", "epoch", "final", "cell"} <= {row[0] for row in store.sql("SHOW TABLES").rows}


def test_nothing_in_the_package_opens_the_database_file_except_duckdb() -> None:
    package = Path(file.__file__).parents[1]
    opening = ("open(", "read_bytes(", "write_bytes(", "copy(", "copy2(", "copyfile(", "hashlib.file_digest(")
    suspects = [
        f"{module.name}:{number}: {line.strip()}"
        for module in (package / "store").rglob("*.py")
        if module.name != "export.py"  # which writes into the folder people name, and nowhere else
        for number, line in enumerate(module.read_text().splitlines(), 1)
        if any(call in line for call in opening) and not line.strip().startswith(("def ", '"""'))
    ]
    allowed = ("_open(", "Store.open(", "reopen(")
    assert [line for line in suspects if not any(call in line for call in allowed)] == []
