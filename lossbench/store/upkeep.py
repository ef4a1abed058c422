"""Looking after the store: what is in it, whether it is sound, making it small, copying it."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from lossbench.errors import StoreError, UsageError
from lossbench.home import Home
from lossbench.journal import Damaged, drop, scan, sizes, writing
from lossbench.store import file, ingest
from lossbench.store.store import Store

__all__ = ["Finding", "backup", "check", "drop_journals", "info", "quiet", "try_pack", "vacuum"]

_PACKED_BYTES = 32 << 20
"""A store of up to this size is packed unasked: it takes about two seconds. What lies empty in larger ones does not
grow with them, but for kept predictions."""

_BLOCKS = "SELECT block_size, used_blocks, free_blocks FROM pragma_database_size()"

_TABLES = ("entry", "started", "spell", "word", "reading", "prediction", "mark", "ingested")

# Every statement counts rows that must not be there.
_CHECKS = {
    "every event counts once": """
        SELECT count(*) FROM (SELECT attempt, seq FROM entry GROUP BY ALL HAVING count(*) > 1)
    """,
    "every event can be read": """
        SELECT count(*) FROM entry WHERE kind NOT IN ('epoch', 'started') AND NOT coalesce(json_valid(body), false)
    """,
    "every start is there": """
        SELECT abs((SELECT count(*) FROM entry WHERE kind = 'started') - (SELECT count(*) FROM started))
    """,
    "every end is there": """
        SELECT abs((SELECT count(*) FROM entry WHERE kind = 'ended') - (SELECT count(*) FROM ended))
    """,
    "every epoch's metrics are there": """
        SELECT abs((SELECT coalesce(sum(metrics), 0) FROM entry) - (SELECT count(*) FROM metric))
    """,
    "every run has a beginning": """
        SELECT count(DISTINCT run_id) FROM entry
        WHERE kind <> 'marked' AND run_id NOT IN (SELECT run_id FROM started)
    """,
    "no epoch is missing between others": """
        SELECT count(*) FROM (
            SELECT run_id FROM entry WHERE kind = 'epoch' GROUP BY run_id HAVING count(DISTINCT epoch) < max(epoch)
        )
    """,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked; `wrong` counts what is not as it should be."""

    what: str
    wrong: int
    detail: str = ""


def info(home: Home) -> dict[str, str | int]:
    """What a home holds, by name."""
    with Store.open(home) as store:
        ((version, made_by, made_at),) = store.rows("SELECT schema_version, made_by, made_at FROM meta")
        statuses = dict(store.rows("SELECT status, count(*) FROM run WHERE NOT removed GROUP BY ALL ORDER BY ALL"))
        ((removed,),) = store.rows("SELECT count(*) FROM run WHERE removed")
        counts = {table: store.rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("entry", "reading")}
    told = sizes(home)
    return {
        "home": str(home.root),
        "store": str(home.store),
        "schema": version,
        "made by": made_by,
        "made at": f"{made_at:%Y-%m-%dT%H:%M:%SZ}",
        "store bytes": _bytes(home.store),
        "runs": sum(statuses.values()),
        **{f"runs {status}": count for status, count in statuses.items()},
        "runs removed": removed,
        "events": counts["entry"],
        "metric values": counts["reading"],
        "journals": len(told),
        "journal bytes": sum(told.values()),
        "checkpoint bytes": sum(_bytes(path) for path in home.checkpoints.glob("*")),
    }


def check(home: Home) -> list[Finding]:
    """Look for anything that is not as it should be in the store and the journals.

    Raises:
        StoreError: the store cannot be read at all.
    """
    with Store.open(home) as store:
        findings = [Finding(what, store.rows(statement)[0][0]) for what, statement in _CHECKS.items()]
        notes = store.notes
        for table in _TABLES:
            store.rows(f"SELECT count(*), count(COLUMNS(*)) FROM {table}")
    torn = {path.name: _damaged(path) for path in (home.journals / f"{name}.jsonl" for name in sizes(home))}
    bad = {name: count for name, count in torn.items() if count}
    return [
        *findings,
        Finding("every journal line is an event", sum(bad.values()), ", ".join(sorted(bad))),
        Finding("everything is taken in", len(notes), "; ".join(notes)),
    ]


def backup(home: Home, target: Path, *, wait: float = 30.0) -> None:
    """Copy the whole store, all journals taken in, to a new file.

    Raises:
        UsageError: there is something at the target already.
        StoreError: the store cannot be read, or the copy not written.
    """
    if target.exists():
        raise UsageError(f"{target} exists already; name a new file")
    with quiet(home, wait):
        _copy_database(home.store, target)


def vacuum(home: Home, *, wait: float = 30.0) -> tuple[int, int]:
    """Write the file anew without its gaps and drop the journals it holds whole; bytes before and after.

    The journals of living processes, and of those that have said something the store has not, stay.

    Raises:
        StoreBusy: another process holds the store.
        StoreError: the store cannot be read or written.
    """
    with quiet(home, wait):
        before = _bytes(home.store) + sum(sizes(home).values())
        _copy_database(home.store, home.store)
        with contextlib.closing(file.connect(home.store, read_only=True)) as connection:
            taken = ingest.receipts(connection)
        drop_journals(home, taken)
    return before, _bytes(home.store) + sum(sizes(home).values())


def try_pack(home: Home) -> bool:
    """Write a small store anew if much of its file lies empty; says whether, and never waits or fails.

    DuckDB writes the last rows of every table anew each time something is added, and leaves their earlier place empty.
    """
    with contextlib.suppress(StoreError, file.OlderSchemaError, duckdb.Error, OSError), file.locked(home, wait=0):
        # A log that a killed process left belongs to this very file.
        if not file.log_of(home.store).exists() and _gaping(home.store):
            _copy_database(home.store, home.store)
            return True
    return False


def drop_journals(home: Home, taken: Mapping[str, ingest.Receipt]) -> None:
    """Delete the journals that are whole in the store by these receipts and that nobody writes any more."""
    for attempt, size in sizes(home).items():
        path = home.journals / f"{attempt}.jsonl"
        receipt = taken.get(attempt)
        # An empty one may have been made this instant. Of the others, whose writer has let go, none grows any more.
        if receipt and receipt.bytes and not writing(path) and receipt.size == size == _bytes(path):
            drop(path)


@contextmanager
def quiet(home: Home, wait: float) -> Iterator[None]:
    """Hold the lock with all journals taken in and no write-ahead log beside the file."""
    with Store.open(home, wait=wait):
        pass
    with file.locked(home, wait=wait):
        if not home.store.exists():
            file.create(home.store)
        with contextlib.closing(file.connect(home.store, read_only=False)) as connection, file.troubles(home.store):
            ingest.take_in(connection, home)
        yield


def _gaping(store: Path) -> bool:
    """Whether packing would take an eighth from a store that is small enough for it."""
    with contextlib.closing(file.connect(store, read_only=True)) as connection:
        ((block, used, free),) = connection.execute(_BLOCKS).fetchall()
    return bool(block * used <= _PACKED_BYTES and (free > used // 8 or block > file.BLOCK_BYTES))


def _copy_database(source: Path, target: Path) -> None:
    """Write a store, all its rows close together, into a file that is in its place at once or not at all."""
    draft = target.with_name(f"{target.name}.draft")
    for left_over in (draft, file.log_of(draft)):
        left_over.unlink(missing_ok=True)
    with contextlib.closing(duckdb.connect(":memory:")) as connection:
        try:
            connection.execute(f"ATTACH {file.quoted(source)} AS source (READ_ONLY)")
        except duckdb.Error as error:
            raise file.trouble(source, error) from error
        try:
            file.attach_new(connection, draft, "target")
            connection.execute("COPY FROM DATABASE source TO target")
            # Closing would do it too, but say nothing of a disk that was too full for it.
            connection.execute("CHECKPOINT target")
            _compare(connection, target)
        except duckdb.Error as error:
            raise StoreError(f"cannot write {target}: {str(error).splitlines()[0]}") from error
    draft.replace(target)


def _compare(connection: DuckDBPyConnection, target: Path) -> None:
    for table in _TABLES:
        ((one,), (other,)) = (
            connection.execute(f"SELECT count(*) FROM {side}.main.{table}").fetchall()[0]
            for side in ("source", "target")
        )
        if one != other:
            raise StoreError(f"the copy at {target} has {other} rows in {table} instead of {one}; it is not used")


def _damaged(path: Path) -> int:
    return sum(isinstance(line, Damaged) for line in scan(path))


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
