"""Checkpoints written beside the training: the newest wins, nothing is written after `drop`, errors come back."""

import threading

import pytest
import torch

from lossbench import checkpoint, losses
from lossbench.errors import StoreError
from lossbench.events import EpochDone, EpochMetrics, now
from lossbench.journal import Journal
from lossbench.saving import Saver, Standing
from tests.store.conftest import a_spec

RUN = "aaaaaaaaaa"
SPEC = a_spec(loss=str(losses.resolve("ce")))


def after(epoch: int) -> Standing:
    return Standing(members={RUN: SPEC}, states={RUN: {"w": torch.full((3,), float(epoch))}}, epoch=epoch, threads=1)


@pytest.fixture
def journal(home):
    with Journal(home) as opened:
        yield opened


@pytest.fixture
def held(monkeypatch):
    """A disk that takes a checkpoint only once it is told to; the epochs it was asked to take."""
    real, asked, begun, go_on = checkpoint.save, [], threading.Event(), threading.Event()

    def save(*args, epoch, **options):
        asked.append(epoch)
        begun.set()
        assert go_on.wait(60)
        real(*args, epoch=epoch, **options)

    monkeypatch.setattr(checkpoint, "save", save)
    yield asked, begun, go_on
    go_on.set()


def test_training_waits_for_no_disk_and_only_the_newest_state_is_written(home, journal, held):
    asked, begun, go_on = held
    saver = Saver(home, journal, "attempt-0", "none")
    saver.put(after(1))
    assert begun.wait(60)
    for epoch in range(2, 200):
        saver.put(after(epoch))
    go_on.set()
    saver.flush()
    assert asked == [1, 199]
    found = checkpoint.load(home, RUN, SPEC)
    assert (found.epoch, found.state["w"].tolist()) == (199, [199.0] * 3)
    saver.close()


def test_a_state_that_is_dropped_is_never_written_and_nothing_is_under_way_any_more(home, journal, held):
    asked, begun, go_on = held
    saver = Saver(home, journal, "attempt-0", "none")
    saver.put(after(1))
    assert begun.wait(60)
    saver.put(after(2))
    threading.Timer(0.05, go_on.set).start()
    saver.drop()
    assert checkpoint.load(home, RUN, SPEC).epoch == 1
    checkpoint.discard(home, [RUN])
    saver.close()
    assert asked == [1]
    assert list(home.checkpoints.glob("*.pt")) == []


def test_the_journal_is_on_the_disk_before_the_checkpoint(home, journal, monkeypatch):
    order = []
    monkeypatch.setattr(Journal, "sync", lambda self: order.append("journal"))
    real = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *args, **options: order.append("save") or real(*args, **options))
    journal.append(EpochDone(run_id=RUN, at=now(), metrics=EpochMetrics(epoch=1, values={"test/nll": 1.0})))
    saver = Saver(home, journal, "attempt-0", "none")
    saver.put(after(1))
    saver.flush()
    saver.close()
    assert order == ["journal", "save"]


def test_every_epoch_is_written_where_all_are_kept(home, journal):
    saver = Saver(home, journal, "attempt-0", "all")
    for epoch in (1, 2, 3):
        saver.put(after(epoch))
        assert checkpoint.load(home, RUN, SPEC).epoch == epoch
    saver.close()
    assert len(list(home.checkpoints.glob(f"{RUN}.epoch-*.pt"))) == 3


@pytest.mark.parametrize("error", [StoreError("No space left on device"), ValueError("a bug")])
def test_what_goes_wrong_is_raised_where_training_notices_and_the_end_does_not_wait(home, journal, monkeypatch, error):
    def broken(*args, **options):
        raise error

    monkeypatch.setattr(checkpoint, "save", broken)
    saver = Saver(home, journal, "attempt-0", "none")
    saver.put(after(1))
    with pytest.raises(type(error), match=str(error)):
        saver.flush()
    with pytest.raises(type(error), match=str(error)):
        saver.put(after(2))
    saver.close()


def test_a_saver_that_never_wrote_leaves_no_thread(home, journal):
    before = threading.active_count()
    Saver(home, journal, "attempt-0", "none").close()
    saver = Saver(home, journal, "attempt-1", "none")
    saver.put(after(1))
    saver.flush()
    saver.close()
    for thread in threading.enumerate():
        if thread.name.startswith("checkpoint "):
            thread.join(60)
    assert threading.active_count() == before
