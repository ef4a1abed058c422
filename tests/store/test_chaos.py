"""Nothing acknowledged is lost, torn or double, and no reader fails: the short form of tests/slow/test_chaos.py."""

from pathlib import Path

from lossbench.home import Home
from tests.store.chaos import METRICS, storm


def test_processes_killed_at_random_lose_nothing(home: Home, tmp_path: Path) -> None:
    damage = storm(home, tmp_path, kills=12, seconds=6, writers=4)
    assert damage.acknowledged > 0
    assert damage.reads > 0
    assert damage.lost == 0
    assert damage.torn_or_double == 0
    assert damage.rows == damage.stored * METRICS
    # Every process may have been killed between writing its last line and saying so.
    assert damage.unacknowledged <= damage.runs
    assert damage.failed_reads == []
