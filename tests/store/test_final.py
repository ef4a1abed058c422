"""Journals that are final are not asked again; whatever may still grow is, and nothing of it is missed."""

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench import journal
from lossbench.events import EpochDone, EpochMetrics, to_json
from lossbench.home import Home
from lossbench.journal import Copy
from lossbench.store import Store, file, ingest, rebuild, upkeep
from tests.store.conftest import Teller, a_spec

DEAD = {"boot_id": "of another time"}


def long_ago(path: Path) -> None:
    os.utime(path, (time.time() - 3600,) * 2)


def known(home: Home) -> set[str]:
    connection = file.connect(home.store, read_only=True)
    found = ingest.finals(connection)
    connection.close()
    return set(found)


def finals(home: Home) -> set[str]:
    """The journals that are known to be final, after something new was taken in."""
    Teller(home).run(f"new-{len(journal.sizes(home))}", a_spec(seed=99))
    with Store.open(home):
        pass
    return known(home)


def test_the_journal_of_a_dead_process_becomes_final_and_is_not_asked_again(home: Home, tell: Teller) -> None:
    told = tell.run("one", provenance=DEAD)
    assert finals(home) == set()
    long_ago(told.path)
    assert finals(home) == {told.attempt}
    assert finals(home) == {told.attempt}
    with told.path.open("a") as lines:
        lines.write("more\n")
    connection = file.connect(home.store, read_only=True)
    taken, final = ingest.receipts(connection, final=False), ingest.finals(connection)
    connection.close()
    assert told.attempt not in taken
    assert ingest.pending(home, taken, final) == {}


def test_a_rebuilt_store_finds_out_anew(home: Home, tell: Teller) -> None:
    told = tell.run("one", provenance=DEAD)
    long_ago(told.path)
    assert finals(home) == {told.attempt}
    rebuild.rebuild(home)
    assert known(home) == set()
    assert finals(home) == {told.attempt}


def still_alive(home: Home, tell: Teller) -> Path:
    return tell.run("one").path


def on_another_host(home: Home, tell: Teller) -> Path:
    return tell.run("one", provenance={**DEAD, "host": "elsewhere"}).path


def copied(home: Home, tell: Teller) -> Path:
    path = tell.run("one", provenance=DEAD).path
    lines = path.read_bytes()
    path.unlink()
    copy = Copy(home, path.stem)
    copy.append(0, lines)
    copy.close()
    return path


@pytest.mark.parametrize("told_by", [still_alive, on_another_host, copied])
def test_what_may_still_grow_is_asked_every_time(
    home: Home, tell: Teller, told_by: Callable[[Home, Teller], Path]
) -> None:
    path = told_by(home, tell)
    long_ago(path)
    assert finals(home) == set()
    more = EpochDone(run_id="one", at=tell.at(), metrics=EpochMetrics(epoch=2, values={"test/nll": 1.0}))
    line = json.dumps({**to_json(more), "attempt": path.stem, "seq": 9})
    with path.open("a") as lines:
        lines.write(line + "\n")
    with Store.open(home) as store:
        assert store.sql("SELECT epoch FROM run WHERE run_id = 'one'").rows == [(2,)]


def test_a_journal_whose_lock_is_held_or_that_nobody_has_taken_in_whole_is_asked(home: Home, tell: Teller) -> None:
    held, torn = (tell.run(run_id, provenance=DEAD).path for run_id in ("held", "torn"))
    finals(home)
    with torn.open("a") as lines:
        lines.write("half a li")
    for path in (held, torn):
        long_ago(path)
    with held.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert finals(home) == {torn.stem}
    assert finals(home) == {torn.stem, held.stem}


def test_a_copy_is_known_as_one_until_it_is_dropped(home: Home, tell: Teller) -> None:
    path = copied(home, tell)
    assert journal.copied(path)
    upkeep.vacuum(home)
    assert list(home.journals.iterdir()) == []
