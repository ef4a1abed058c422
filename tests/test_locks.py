"""Claims hold between processes, and end with the process that made them."""

import signal
import subprocess
import sys

import pytest

from lossbench.errors import StoreBusy, StoreError
from lossbench.locks import claimed

HOLDER = """
import sys, time
from pathlib import Path
from lossbench.locks import claimed
from lossbench.home import Home
with claimed(Home(Path(sys.argv[1])), sys.argv[2:]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(home):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, home.root, "0123456789", "abcdefghjk"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_run_belongs_to_one_process_until_that_is_gone(home, holder):
    with claimed(home, ["zzzzzzzzzz"]):
        pass
    for taken in ("0123456789", "abcdefghjk"):
        with pytest.raises(StoreBusy, match=taken), claimed(home, ["yyyyyyyyyy", taken]):
            pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with claimed(home, ["0123456789", "abcdefghjk"]):
        pass


def test_a_claim_leaves_an_empty_file(home):
    with claimed(home, ["0123456789"]):
        assert (home.checkpoints / "claims.lock").stat().st_size == 0


def test_a_home_that_takes_no_file_is_named(home):
    (home.checkpoints / "claims.lock").mkdir()
    with pytest.raises(StoreError, match=r"claims\.lock"), claimed(home, ["0123456789"]):
        pass
