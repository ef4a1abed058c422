"""Killed between the last word and the end of the checkpoint: the next command removes it, as was asked."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench import checkpoint, retention
from lossbench.home import Home
from lossbench.store import Store, queries
from tests.store.conftest import Teller, a_spec

KILLED_AT_ITS_LAST_WORD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_experiment import spec
from lossbench.events import RunEnded
from lossbench.experiment import execute
from lossbench.home import Home

cells = {"done": spec(epochs=2), "diverged": spec(schedule="1,1e30@e1")}
home = Home(Path(sys.argv[1]))
for event in execute([cells[sys.argv[3]]], home, data_folder=Path("/nonexistent"), device="cpu", keep=sys.argv[4]):
    if isinstance(event, RunEnded):
        assert event.status == sys.argv[3]
        os.kill(os.getpid(), signal.SIGKILL)
"""


def files(home: Home) -> set[str]:
    return {path.name for path in home.checkpoints.iterdir()} - {"claims.lock"}


def opened(home: Home) -> list[tuple[str, str]]:
    with Store.open(home) as store:
        return [(row.run_id, row.status) for row in queries.runs(store)]


@pytest.mark.parametrize(
    ("status", "keep", "stays"), [("done", "none", False), ("done", "last", True), ("diverged", "last", False)]
)
def test_a_checkpoint_whose_run_was_killed_at_its_last_word_stays_only_if_it_was_to_be_kept(
    home: Home, status: str, keep: str, stays: bool
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_ITS_LAST_WORD, home.root, Path(__file__).parents[1], status, keep],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [name for name in files(home) if name.endswith(".pt")]
    ((run_id, found),) = opened(home)
    assert found == status
    assert (f"{run_id}.pt" in files(home)) is stays
    if not stays:
        assert files(home) == set()


def linked(home: Home, run_id: str) -> None:
    spec = a_spec()
    checkpoint.save(home, f"{run_id}-0", {run_id: checkpoint.asked(spec)}, {run_id: {}}, epoch=1, threads=1)
    checkpoint.hold(home, f"{run_id}-0")
    checkpoint.settle(home, f"{run_id}-0")
    retention.link(home, f"{run_id}-0", [run_id])


@pytest.mark.parametrize("status", ["done", "interrupted", "failed", None])
def test_what_a_living_process_or_an_unfinished_run_has_stays(home: Home, status) -> None:
    teller = Teller(home)
    teller.provenance |= {"keep_checkpoints": "none"}
    if status != "done":
        teller.provenance |= {"boot_id": "an earlier one"}
    teller.run("aaaaaaaaaa", status=status)
    linked(home, "aaaaaaaaaa")
    opened(home)
    assert files(home) == {"aaaaaaaaaa.pt", "aaaaaaaaaa-0.members", "aaaaaaaaaa-0.members.new"}


def test_a_folder_that_cannot_be_written_fails_no_reader(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(home)
    teller.provenance |= {"keep_checkpoints": "none", "boot_id": "an earlier one"}
    teller.run("aaaaaaaaaa")
    opened(home)
    linked(home, "aaaaaaaaaa")

    def refused(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refused)
        assert opened(home) == [("aaaaaaaaaa", "done")]
        assert "aaaaaaaaaa.pt" in files(home)
    opened(home)
    assert files(home) == set()
