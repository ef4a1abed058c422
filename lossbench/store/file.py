"""The DuckDB file itself: creating and opening it, telling whose it is, and the lock around every write.

While a connection is open nothing else here may open the file, not even to read: closing such a second handle would
drop DuckDB's own lock on it.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from lossbench import __version__
from lossbench.errors import StoreBusy, StoreError
from lossbench.home import Home

__all__ = [
    "BLOCK_BYTES",
    "SCHEMA_VERSION",
    "SEALED",
    "BeingWrittenError",
    "NewerSchemaError",
    "OlderSchemaError",
    "attach_new",
    "connect",
    "connect_to_any",
    "create",
    "create_tables",
    "fold",
    "locked",
    "log_of",
    "quoted",
    "trouble",
    "troubles",
]

SCHEMA_VERSION = 3
"""Version of `schema.sql`; a file of an earlier one is rebuilt, one of a later one refused."""

BLOCK_BYTES = 1 << 16
"""What the file is made of. Every table fills at least one block, so that DuckDB's own 256 KiB make a small store four
times as large; in 32 KiB it has no room to pack whole numbers."""

# DuckDB 1.5 cannot read files in the default format of 2.0, and nothing here needs what is new in it.
_STORAGE = "v1.5.0"
SEALED: Mapping[str, bool] = {"enable_external_access": False, "lock_configuration": True}
"""Settings under which an SQL statement reaches nothing but the tables, and cannot change that."""

# Not the whole of duckdb.Error: a mistake in a statement of ours is a bug, not damage.
_TROUBLES = (
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.SerializationException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.OutOfMemoryException,
)

_FOREIGN = "is a DuckDB file, but not a store of lossbench; name another folder with --home or move it away"


class OlderSchemaError(Exception):
    """The file has an earlier schema and waits to be rebuilt."""


class BeingWrittenError(StoreBusy):
    """Another lossbench is at the file."""


class NewerSchemaError(StoreError):
    """The file was written by a later lossbench."""


def create_tables(connection: DuckDBPyConnection) -> None:
    """Lay out an empty store in a connection's database."""
    connection.begin()
    connection.execute(resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"))
    connection.execute(
        f"CREATE VIEW meta AS SELECT {SCHEMA_VERSION} AS schema_version, 'lossbench {__version__}' AS made_by,"
        f" TIMESTAMP '{datetime.now(UTC).replace(tzinfo=None)}' AS made_at"
    )
    connection.commit()


def create(path: Path) -> None:
    """Make an empty store where there is none; a process killed on the way leaves none."""
    draft = path.with_name(f"{path.stem}.draft.duckdb")
    for left_over in (draft, log_of(draft), log_of(path)):
        left_over.unlink(missing_ok=True)
    with contextlib.closing(_open(draft, read_only=False, new=True)) as connection, troubles(path):
        create_tables(connection)
        # Closing would do it too, but say nothing of a disk that was too full for it.
        connection.execute("CHECKPOINT")
    draft.replace(path)


def connect(path: Path, *, read_only: bool, sealed: bool = True) -> DuckDBPyConnection:
    """Open a store of the present schema; for reading under `SEALED` unless told otherwise.

    Raises:
        StoreBusy: another process holds it.
        StoreError: it is damaged, foreign or newer, or may not be opened.
        OlderSchemaError: it needs a rebuild.
    """
    connection = _open(path, read_only=read_only, sealed=sealed)
    try:
        version = _version(connection, path)
        if version < SCHEMA_VERSION:
            raise OlderSchemaError(version)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_any(path: Path) -> DuckDBPyConnection:
    """Open a store of the present schema or an earlier one for reading.

    Raises:
        StoreBusy: another process holds it.
        StoreError: it is damaged, foreign or newer, or may not be opened.
    """
    connection = _open(path, read_only=True)
    try:
        _version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def attach_new(connection: DuckDBPyConnection, path: Path, name: str) -> None:
    """Make an empty file in the format of a store, under a name in this connection."""
    connection.execute(f"ATTACH {quoted(path)} AS {name} (STORAGE_VERSION '{_STORAGE}', BLOCK_SIZE {BLOCK_BYTES})")


def fold(path: Path) -> None:
    """Move what the write-ahead log of a killed process still holds into the file.

    Raises:
        StoreBusy: another process holds it.
        StoreError: it is damaged, or may not be written.
    """
    _open(path, read_only=False).close()


def log_of(path: Path) -> Path:
    """DuckDB's write-ahead log beside a file."""
    return path.with_name(path.name + ".wal")


def _version(connection: DuckDBPyConnection, path: Path) -> int:
    try:
        row = connection.execute("SELECT schema_version FROM meta").fetchone()
    except (duckdb.CatalogException, duckdb.BinderException):
        row = None
    except duckdb.Error as error:
        raise trouble(path, error) from error
    if row is None or not isinstance(row[0], int):
        raise StoreError(f"{path} {_FOREIGN}")
    if row[0] > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"{path} has schema {row[0]}, written by a newer lossbench than this one ({__version__}, schema"
            f" {SCHEMA_VERSION}); update lossbench"
        )
    return row[0]


@contextmanager
def locked(home: Home, *, wait: float) -> Iterator[None]:
    """Hold the kernel lock that every writer of lossbench takes; it is freed when its holder dies.

    Raises:
        BeingWrittenError: another lossbench held it all the time.
        StoreError: the lock file cannot be made.
    """
    # Only writers need it, and importing it takes a tenth of a second.
    from filelock import FileLock, Timeout

    lock = FileLock(home.lock, timeout=wait)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout as error:
        raise BeingWrittenError(
            f"{home.store} is being written by another lossbench; the journals are safe, try again"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot write to {home.root} ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def troubles(path: Path) -> Iterator[None]:
    """Tell of a file that turns out to be damaged, or a disk that fills up, in the middle of work on it.

    Raises:
        StoreError: that happened.
    """
    try:
        yield
    except _TROUBLES as error:
        raise trouble(path, error) from error


def trouble(path: Path, error: duckdb.Error) -> StoreError:
    """What DuckDB's refusal to open a file means for the user."""
    text = str(error)
    first = text.splitlines()[0]
    if "Could not set lock" in text:
        held = re.search(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)", text)
        by = f"process {held['pid']} ({Path(held['program']).name})" if held else "another process"
        return StoreBusy(f"{path} is held by {by}; the journals are safe, try again when it has let go")
    if "different configuration" in text or "already attached" in text:
        return StoreBusy(f"{path} is open in this process already; the journals are safe")
    if re.search(r"No space left|Disk quota|File too large|not enough disk space", text, re.IGNORECASE):
        return StoreBusy(f"cannot write {path}, the disk is full; the journals are safe, try again when there is room")
    if "version number" in text:
        return StoreError(f"{path} is in the format of a newer DuckDB than {duckdb.__version__}; update duckdb")
    if "not a valid DuckDB" in text:
        return StoreError(f"{path} is not a DuckDB file; name another store, or move it away")
    if re.search(r"Permission denied|Cannot open file|Read-only file system|Is a directory", text):
        return StoreError(f"cannot open {path}: {first}")
    return StoreError(f"{path} is damaged ({first}); `lossbench store rebuild` makes it anew from the journals")


def quoted(path: Path) -> str:
    """The path as an SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def _open(path: Path, *, read_only: bool, new: bool = False, sealed: bool = True) -> DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {}
    if new:
        config = {"storage_compatibility_version": _STORAGE, "default_block_size": BLOCK_BYTES}
    elif read_only and sealed:
        config = {**SEALED}
    try:
        return duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.Error as error:
        raise trouble(path, error) from error
