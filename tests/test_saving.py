"""Saving after every epoch: a kill costs nothing that was saved, the disk is waited for only where it has to be."""

import os
import signal
import threading
from pathlib import Path

import pytest
import torch

from lossbench import checkpoint, losses, retention
from lossbench.errors import StoreError
from lossbench.events import EpochDone, EpochMetrics, now
from lossbench.journal import Journal
from lossbench.saving import Saver
from tests.store.conftest import a_spec

RUN = "aaaaaaaaaa"
SPEC = a_spec(loss=str(losses.resolve("ce")))


def put(saver: Saver, epoch: int) -> None:
    saver.put({RUN: SPEC}, {RUN: {"w": torch.full((3,), float(epoch))}}, epoch=epoch, threads=1)


def power_cut(home) -> None:
    """Take away what was saved and not settled."""
    for name in ("new", "older"):
        (home.checkpoints / f"attempt-0.members.{name}").unlink(missing_ok=True)


def opened(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@pytest.fixture
def journal(home):
    with Journal(home) as opened:
        yield opened


@pytest.fixture
def held(monkeypatch):
    """A disk that, after a first checkpoint, settles one only once it is told to; the epochs it was asked to settle."""
    real, begun, go_on = checkpoint.settle, threading.Event(), threading.Event()
    settled = []

    def settle(home, name):
        if settled:
            begun.set()
            assert go_on.wait(60)
        real(home, name)
        settled.append(checkpoint.load(home, RUN, SPEC).epoch if home.checkpoint(RUN).is_symlink() else 1)

    monkeypatch.setattr(checkpoint, "settle", settle)
    monkeypatch.setattr("lossbench.saving.PAUSE_SECONDS", 0.0)
    yield settled, begun, go_on
    go_on.set()


def test_training_waits_for_no_disk_and_only_the_newest_state_is_settled(home, journal, held):
    settled, begun, go_on = held
    saver = Saver(home, journal, "attempt-0", "none")
    put(saver, 1)
    put(saver, 2)
    assert begun.wait(60)
    for epoch in range(3, 200):
        put(saver, epoch)
        assert checkpoint.load(home, RUN, SPEC).epoch == epoch
    go_on.set()
    saver.flush()
    assert settled[0] == 1
    assert len(settled) <= 3
    power_cut(home)
    found = checkpoint.load(home, RUN, SPEC)
    assert (found.epoch, found.state["w"].tolist()) == (199, [199.0] * 3)
    saver.close()


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_what_was_put_survives_a_kill_that_comes_at_once(home, epochs):
    child = os.fork()
    if child == 0:
        saver = Saver(home, Journal(home), "attempt-0", "none")
        for epoch in range(1, epochs + 1):
            put(saver, epoch)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert checkpoint.load(home, RUN, SPEC).epoch == epochs


def test_a_state_that_is_dropped_is_never_settled_and_nothing_is_under_way_any_more(home, journal, held):
    settled, begun, go_on = held
    saver = Saver(home, journal, "attempt-0", "none")
    put(saver, 1)
    put(saver, 2)
    assert begun.wait(60)
    put(saver, 3)
    threading.Timer(0.05, go_on.set).start()
    saver.drop()
    assert len(settled) == 2
    retention.discard(home, [RUN])
    saver.close()
    assert len(settled) == 2
    assert [path.name for path in home.checkpoints.iterdir()] == []


def test_the_journal_is_on_the_disk_before_the_checkpoint(home, journal, monkeypatch):
    order = []
    sync = Journal.sync
    monkeypatch.setattr(Journal, "sync", lambda self: order.append("journal") or sync(self))
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: order.append(opened(file)) or real(file))
    journal.append(EpochDone(run_id=RUN, at=now(), metrics=EpochMetrics(epoch=1, values={"test/nll": 1.0})))
    saver = Saver(home, journal, "attempt-0", "none")
    put(saver, 1)
    saver.close()
    folder = str(home.checkpoints)
    assert order == ["journal", str(journal.path), f"{folder}/attempt-0.members.held", folder, folder]


def test_a_resumed_run_keeps_the_checkpoint_it_came_from_until_there_is_a_settled_one(home, journal, monkeypatch):
    earlier = Saver(home, journal, "earlier-0", "none")
    put(earlier, 1)
    earlier.close()

    def broken(*args, **options):
        raise StoreError("No space left on device")

    monkeypatch.setattr(checkpoint, "settle", broken)
    saver = Saver(home, journal, "later-0", "none")
    with pytest.raises(StoreError, match="No space left"):
        put(saver, 2)
    saver.close()
    assert checkpoint.load(home, RUN, SPEC).epoch == 1


def test_every_epoch_is_settled_where_all_are_kept(home, journal):
    saver = Saver(home, journal, "attempt-0", "all")
    for epoch in (1, 2, 3):
        put(saver, epoch)
        power_cut(home)
        assert checkpoint.load(home, RUN, SPEC).epoch == epoch
    saver.close()
    assert len(list(home.checkpoints.glob(f"{RUN}.epoch-*.pt"))) == 3


@pytest.mark.parametrize("error", [StoreError("No space left on device"), ValueError("a bug")])
def test_what_goes_wrong_is_raised_where_training_notices_and_the_end_does_not_wait(home, journal, monkeypatch, error):
    def broken(*args, **options):
        raise error

    monkeypatch.setattr(checkpoint, "settle", broken)
    saver = Saver(home, journal, "attempt-0", "none")
    for epoch in (1, 2):
        with pytest.raises(type(error), match=str(error)):
            put(saver, epoch)
    with pytest.raises(type(error), match=str(error)):
        saver.flush()
    saver.close()


def test_a_saver_that_never_saved_leaves_no_thread(home, journal):
    before = threading.active_count()
    Saver(home, journal, "attempt-0", "none").close()
    saver = Saver(home, journal, "attempt-1", "none")
    put(saver, 1)
    saver.flush()
    saver.close()
    for thread in threading.enumerate():
        if thread.name.startswith("checkpoint "):
            thread.join(60)
    assert threading.active_count() == before
