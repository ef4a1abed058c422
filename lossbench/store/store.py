"""Opening the store to read: take in what the journals have, then look, and never fail because somebody else looks."""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from lossbench.errors import StoreBusy, StoreError, UsageError
from lossbench.home import Home
from lossbench.store import file, final, healing, ingest, merge, rebuild
from lossbench.store.writers import WRITER, alive

__all__ = ["Rows", "Store", "try_ingest"]

_POLL_SECONDS = 0.02

_TABLES = ("entry", "started", "spell", "reading", "prediction", "mark")

_WITHOUT_AN_END = "SELECT 1 FROM started ANTI JOIN ended USING (run_id, attempt) LIMIT 1"

_RUNNING = f"""
SELECT run_id, {WRITER}
FROM run WHERE status = 'running'
"""

_LOST = """
CREATE TEMP VIEW run AS
SELECT * REPLACE (
    CASE WHEN status = 'running' AND run_id IN (SELECT run_id FROM lost) THEN 'lost' ELSE status END AS status
)
FROM {database}.main.run
"""


@dataclass(frozen=True, slots=True)
class Rows:
    """What an SQL statement returned."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Store:
    """A store open for reading. `notes` says what the user should know about how it was read."""

    def __init__(self, connection: DuckDBPyConnection, path: Path, notes: list[str]) -> None:
        self.connection = connection
        self.path = path
        self.notes = notes
        self._tell_the_dead()

    @classmethod
    @contextmanager
    def open(cls, home: Home, *, wait: float = 2.0) -> Iterator["Store"]:
        """Take in the journals of a home and open its store; without any there, an empty one that leaves no file.

        What killed processes left undone is done first, as far as that can be.

        Raises:
            StoreError: the store is damaged, foreign or newer, or an older one cannot be rebuilt.
        """
        notes: list[str] = []
        connection = _current(home, wait, notes)
        try:
            store = cls(connection, home.store, notes)
            healing.clear_up(store, home)
            yield store
        finally:
            connection.close()

    def rows(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """What one of our own statements returns.

        Raises:
            StoreError: the file turns out to be damaged.
        """
        with file.troubles(self.path):
            return self.connection.execute(statement, values).fetchall()

    def arrays(self, statement: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What one of our own statements returns, as a NumPy array per column.

        Raises:
            StoreError: the file turns out to be damaged.
        """
        with file.troubles(self.path):
            return dict(self.connection.execute(statement, values).fetchnumpy())

    def sql(self, text: str) -> Rows:
        """Run a user's statement, which may only read.

        Raises:
            UsageError: it is no single reading statement, or DuckDB finds fault with it.
        """
        try:
            statements = self.connection.extract_statements(text)
            if len(statements) != 1:
                raise UsageError(f"write one SQL statement, not {len(statements)}")
            if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
                raise UsageError("only statements that read are allowed here, such as SELECT, DESCRIBE or SHOW TABLES")
            return self._answer(statements[0])
        except duckdb.Error as error:
            raise UsageError(f"SQL: {first_line(error)}") from error

    def _answer(self, statement: duckdb.Statement) -> Rows:
        """What a statement returns that may take for ever; Ctrl-C, which DuckDB does not look for, ends it."""
        # Of all that ask a store only this needs it.
        from concurrent.futures import ThreadPoolExecutor

        def answer() -> Rows:
            result = self.connection.execute(statement)
            return Rows(tuple(column[0] for column in result.description or ()), result.fetchall())

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(answer)
            try:
                return asked.result()
            except KeyboardInterrupt:
                self.connection.interrupt()
                raise

    def _tell_the_dead(self) -> None:
        # The view is made of all runs; most stores have none that could be running.
        running = self.rows(_RUNNING) if self.rows(_WITHOUT_AN_END) else []
        if lost := [run for run, *writer in running if alive(writer) is False]:
            ((database,),) = self.rows("SELECT current_database()")
            self.rows("CREATE TEMP TABLE lost AS SELECT unnest($lost) AS run_id", {"lost": lost})
            self.rows(_LOST.format(database=database))


def first_line(error: duckdb.Error) -> str:
    """DuckDB's complaint without the drawing below it."""
    return re.sub(r"^\w+ Error: ", "", str(error)).splitlines()[0]


def try_ingest(home: Home) -> bool:
    """Take in the journals if nobody else is at the store; for trainers, who never wait and never fail for it."""
    try:
        with file.locked(home, wait=0):
            _take_in(home)
    except (StoreError, file.OlderSchemaError, duckdb.Error):
        return False
    return True


def _take_in(home: Home) -> list[str]:
    if not home.store.exists():
        file.create(home.store)
    connection = file.connect(home.store, read_only=False)
    with contextlib.closing(connection), file.troubles(home.store):
        notes = ingest.take_in(connection, home)
        final.find(connection, home)
    return notes


def _current(home: Home, wait: float, notes: list[str]) -> DuckDBPyConnection:
    """A reading connection that knows all the journals say, waiting for other processes only so long."""
    deadline = time.monotonic() + wait
    why: StoreBusy | None = None
    while True:
        try:
            return _up_to_date(home, max(0.0, deadline - time.monotonic()), notes)
        except StoreBusy as busy:
            # Whoever holds the file for long tells more than one of us who has tried in vain as well.
            if why is None or not isinstance(busy, file.BeingWrittenError):
                why = busy
            if time.monotonic() >= deadline:
                return _beside(home, notes, str(why).partition(";")[0])
        time.sleep(_POLL_SECONDS)


def _up_to_date(home: Home, wait: float, notes: list[str]) -> DuckDBPyConnection:
    if home.root.exists() and not os.access(home.root, os.R_OK | os.X_OK, effective_ids=True):
        raise StoreError(f"cannot read {home.root} (Permission denied)")
    if not home.store.exists() and not ingest.pending(home, {}):
        empty = duckdb.connect(":memory:")
        file.create_tables(empty)
        return _sealed(empty)
    if home.store.exists():
        try:
            connection = file.connect(home.store, read_only=True)
        except file.OlderSchemaError:
            notes += rebuild.upgrade(home, wait=wait)
            connection = file.connect(home.store, read_only=True)
        if not _behind(connection, home):
            return connection
        connection.close()
    if not os.access(home.root, os.W_OK, effective_ids=True):
        raise StoreBusy(f"{home.root} is not writable for you")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(file.locked(home, wait=wait))
        except StoreBusy:
            raise
        except StoreError as error:  # no room for the lock, say: nothing can be taken in, and all can be shown
            raise StoreBusy(str(error)) from error
        notes += _take_in(home)
        return file.connect(home.store, read_only=True)


def _behind(connection: DuckDBPyConnection, home: Home) -> bool:
    try:
        with file.troubles(home.store):
            return bool(ingest.pending(home, ingest.receipts(connection, final=False), ingest.finals(connection)))
    except StoreError:
        connection.close()
        raise


def _beside(home: Home, notes: list[str], why: str) -> DuckDBPyConnection:
    """A reading connection on what the file has, if it can be read at all, and on the journals beyond that."""
    connection = duckdb.connect(":memory:")
    file.create_tables(connection)
    try:
        connection.execute(f"ATTACH {file.quoted(home.store)} AS held (READ_ONLY)")
    except duckdb.Error as error:
        if home.store.exists() and not isinstance(trouble := file.trouble(home.store, error), StoreBusy):
            raise trouble from error
        notes.append(f"{why}; shown is what the journals hold")
        notes += ingest.take_in(connection, home)
        return _sealed(connection)
    notes.append(f"{why}; its runs and the newest lines of the journals are shown all the same")
    if connection.execute("SELECT schema_version FROM held.main.meta").fetchall() < [(file.SCHEMA_VERSION,)]:
        connection.execute("DETACH held")
        notes += [*merge.carry_over(home.store, connection).notes, *ingest.take_in(connection, home)]
        return _sealed(connection)
    connection.execute("CREATE TEMP VIEW ingested AS FROM held.main.ingested")
    taken = ingest.receipts(connection)
    connection.execute("DROP VIEW temp.ingested")
    # Numbers that the file has given stand for the same here.
    connection.execute("INSERT INTO word FROM held.main.word")
    notes += ingest.take_in(connection, home, taken)
    for table in _TABLES:
        connection.execute(f"CREATE TEMP VIEW {table} AS FROM memory.main.{table} UNION ALL FROM held.main.{table}")
    return _sealed(connection)


def _sealed(connection: DuckDBPyConnection) -> DuckDBPyConnection:
    for setting, value in file.SEALED.items():
        connection.execute(f"SET {setting} = {value}")
    return connection
