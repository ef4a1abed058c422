"""Deleting runs for good: the one thing here that takes away what was recorded."""

import contextlib
from collections.abc import Collection
from pathlib import Path

import duckdb

from lossbench import retention
from lossbench.errors import StoreError, UsageError
from lossbench.home import Home
from lossbench.store import file, ingest
from lossbench.store.queries import runs
from lossbench.store.selection import Selection
from lossbench.store.store import Store
from lossbench.store.upkeep import drop_journals, quiet

__all__ = ["purge"]

_OF_RUNS = ("entry", "started", "spell", "word", "prediction", "mark")

_READINGS = "INSERT INTO reading FROM old.reading SEMI JOIN word ON run = number"

_ATTEMPTS = "SELECT DISTINCT attempt FROM entry WHERE run_id IN (SELECT unnest($runs))"


def purge(home: Home, run_ids: Collection[str], *, wait: float = 30.0) -> None:
    """Write the store anew without these runs, and delete their journals and checkpoints.

    A journal that tells of other runs too goes as well: what it says of them is in the store.

    Raises:
        UsageError: one of the runs is under way.
        StoreError: the store is held, or the new one cannot be written.
    """
    with Store.open(home, wait=wait) as store:
        present = [
            *runs(store, Selection(runs=tuple(run_ids))),
            *runs(store, Selection(runs=tuple(run_ids), removed=True)),
        ]
    if busy := [row.run_id for row in present if row.status == "running"]:
        raise UsageError(f"run {busy[0]} is under way; `lossbench stop {busy[0]}` first")
    fresh = home.root / "store.fresh.duckdb"
    with quiet(home, wait):
        file.create(fresh)
        with contextlib.closing(file.connect(fresh, read_only=False)) as new:
            attempts = _copy_others(home.store, fresh, new, run_ids)
            taken = ingest.receipts(new)
        fresh.replace(home.store)
        drop_journals(home, {attempt: receipt for attempt, receipt in taken.items() if attempt in attempts})
    retention.forget(home, run_ids)


def _copy_others(store: Path, fresh: Path, new: duckdb.DuckDBPyConnection, run_ids: Collection[str]) -> set[str]:
    """Fill a new store with all but these runs; gives the journals that told of them."""
    values = {"runs": list(run_ids)}
    quoted = str(store).replace("'", "''")
    try:
        new.execute(f"ATTACH '{quoted}' AS old (READ_ONLY)")
        attempts = {attempt for (attempt,) in new.execute(_ATTEMPTS.replace("entry", "old.entry"), values).fetchall()}
        new.begin()
        new.execute("INSERT INTO ingested FROM old.ingested")
        for table in _OF_RUNS:
            # A word that stands for a metric is of no run.
            new.execute(
                f"INSERT INTO {table} FROM old.{table} WHERE (run_id IN (SELECT unnest($runs))) IS NOT TRUE", values
            )
        new.execute(_READINGS)
        new.commit()
        new.execute("DETACH old")
    except duckdb.Error as error:
        raise StoreError(f"cannot write {fresh}: {str(error).splitlines()[0]}") from error
    return attempts
