"""Packing the store: less of the disk is taken and nothing is lost, whoever dies or comes along."""

import subprocess
import sys
import time

import pytest
from filelock import FileLock

from lossbench.errors import StoreError
from lossbench.home import Home
from lossbench.store import file, upkeep
from tests.store.conftest import Teller, a_spec, at_most
from tests.store.test_rebuild import shown
from tests.store.test_store import seen, stranger


def grown(home: Home, tell: Teller, runs: int = 5) -> None:
    """Runs that were taken in one by one, which leaves gaps."""
    for number in range(runs):
        tell.run(f"run-{number}", a_spec(seed=number), values=[{"test/nll": 1 / (1 + number)}] * 20, predictions=True)
        seen(home)


def test_a_store_that_grew_run_by_run_is_packed_and_says_the_same(home: Home, tell: Teller) -> None:
    grown(home, tell)
    before, size = shown(home), home.store.stat().st_size
    assert upkeep.try_pack(home)
    assert home.store.stat().st_size < size
    assert shown(home) == before
    assert not upkeep.try_pack(home)
    assert sorted(path.name for path in home.root.iterdir()) == ["checkpoint", "journal", "store.duckdb", "store.lock"]


def test_a_store_made_of_larger_blocks_is_packed_into_small_ones(
    home: Home, tell: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(file, "BLOCK_BYTES", 1 << 18)
        grown(home, tell, runs=1)
    before, size = shown(home), home.store.stat().st_size
    assert upkeep.try_pack(home)
    assert home.store.stat().st_size < size / 3
    assert shown(home) == before


def test_packing_gives_way_to_everybody(home: Home, tell: Teller) -> None:
    assert not upkeep.try_pack(home)
    grown(home, tell)
    with FileLock(home.lock):
        assert not upkeep.try_pack(home)
    with stranger(home, "writing"):
        assert not upkeep.try_pack(home)
    log = file.log_of(home.store)
    log.write_bytes(b"of a killed process")
    assert not upkeep.try_pack(home)
    log.unlink()
    home.store.write_text("not a store")
    assert not upkeep.try_pack(home)


def test_a_process_killed_while_it_packs_changes_nothing(home: Home, tell: Teller) -> None:
    grown(home, tell)
    before = shown(home)
    endless = (
        "from lossbench.home import Home; from lossbench.store import upkeep\n"
        f"home = __import__('pathlib').Path({str(home.root)!r})\n"
        "print('begins', flush=True)\nwhile True: upkeep.vacuum(Home(home))"
    )
    for pause in (0.0, 0.03, 0.11):
        with subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(pause)
            process.kill()
        assert shown(home) == before
    assert [finding for finding in upkeep.check(home) if finding.wrong] == []


def test_a_disk_too_full_for_a_copy_changes_nothing(home: Home, tell: Teller) -> None:
    values = [{f"test/m{number}": 1 / number for number in range(1, 200)}] * 200
    tell.run("one", values=values)
    before = shown(home)
    with at_most(home.store.stat().st_size // 2), pytest.raises(StoreError, match="cannot write"):
        upkeep.vacuum(home)
    assert shown(home) == before
