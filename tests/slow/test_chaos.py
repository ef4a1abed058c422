"""A hundred kills under load, and a stranger on the file for minutes; prints the figures."""

from pathlib import Path

import pytest

from lossbench.home import Home
from tests.store.chaos import METRICS, storm


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(home: Home, tmp_path: Path) -> None:
    damage = storm(home, tmp_path, kills=120, seconds=60)
    print(damage)
    assert damage.lost == 0
    assert damage.torn_or_double == 0
    assert damage.rows == damage.stored * METRICS
    assert damage.unacknowledged <= damage.runs
    assert damage.failed_reads == []
    assert damage.held_reads > 0


@pytest.mark.slow
def test_a_stranger_who_holds_the_file_for_minutes_stops_nobody(home: Home, tmp_path: Path) -> None:
    damage = storm(home, tmp_path, kills=0, seconds=180, hold=(600, 600))
    print(damage)
    assert damage.lost == 0
    assert damage.torn_or_double == 0
    assert damage.rows == damage.stored * METRICS
    assert damage.failed_reads == []
    # Every reader found the file held, said by whom, and showed what the journals had.
    assert damage.holders_named == damage.held_reads == damage.reads > 0
