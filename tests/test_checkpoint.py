"""Checkpoints are whole or not there, hold nothing but tensors and numbers, and never lead out of their folder."""

import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import time

import pytest
import torch

from lossbench import checkpoint, retention
from lossbench.errors import StoreError, UsageError
from lossbench.losses import resolve
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec

SPEC = RunSpec(
    preset=Preset(
        name="test",
        data=DataSpec(name="synthetic"),
        model=ModelSpec(name="linear"),
        epochs=3,
        batch_size=8,
        optimizer=OptimizerSpec(name="sgd", lr=0.1),
    ),
    loss=resolve("ce"),
    seed=0,
    numbers_version=NUMBERS_VERSION,
)
RUN, OTHER = "0123456789", "abcdefghjk"


def save(home, name="attempt-0", runs=(RUN,), epoch=1) -> None:
    states = {run_id: {"weight": torch.full((3,), float(epoch))} for run_id in runs}
    checkpoint.save(home, name, dict.fromkeys(runs, checkpoint.asked(SPEC)), states, epoch=epoch, threads=1)


def settled(home, name="attempt-0", runs=(RUN,), epoch=1) -> None:
    save(home, name, runs, epoch)
    checkpoint.hold(home, name)
    checkpoint.settle(home, name)
    retention.link(home, name, runs)


def rewritten(file, **changes) -> None:
    """Change fields of a checkpoint file and leave it sound."""
    body = torch.load(io.BytesIO(file.read_bytes()[:-32]), weights_only=True) | changes
    payload = hostile(body)
    file.write_bytes(payload + hashlib.sha256(payload).digest())


def names(home) -> set[str]:
    return {path.name for path in home.checkpoints.iterdir()}


def test_what_is_saved_is_loaded(home):
    settled(home, runs=(RUN, OTHER), epoch=2)
    for run_id in (RUN, OTHER):
        found = checkpoint.load(home, run_id, SPEC)
        assert (found.epoch, found.threads) == (2, 1)
        assert torch.equal(found.state["weight"], torch.full((3,), 2.0))
    assert checkpoint.load(home, "zzzzzzzzzz", SPEC) is None


def test_a_checkpoint_survives_the_copying_of_its_home(home, tmp_path):
    settled(home)
    shutil.copytree(home.root, tmp_path / "copy", symlinks=True)
    assert checkpoint.load(type(home)(tmp_path / "copy"), RUN, SPEC).epoch == 1


@pytest.mark.parametrize("cut", [0, 1, 40, -33, -1])
def test_a_torn_file_gives_way_to_the_one_before(home, cut):
    settled(home, epoch=1)
    settled(home, epoch=2)
    file = home.checkpoints / "attempt-0.members"
    file.write_bytes(file.read_bytes()[:cut])
    assert checkpoint.load(home, RUN, SPEC).epoch == 1


def test_a_single_changed_bit_is_noticed(home):
    settled(home, epoch=1)
    settled(home, epoch=2)
    file = home.checkpoints / "attempt-0.members"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert checkpoint.load(home, RUN, SPEC).epoch == 1


def test_a_write_that_breaks_off_leaves_the_earlier_checkpoint(home, monkeypatch):
    settled(home, epoch=1)
    before = names(home)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StoreError, match="No space left on device"):
            settled(home, epoch=2)
    assert names(home) == {*before, "attempt-0.members.older"}
    # What cannot be settled is saved all the same.
    assert checkpoint.load(home, RUN, SPEC).epoch == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file may be open and not yet named
def test_an_interrupt_in_the_middle_of_a_save_is_no_fault_of_the_disk(home):
    settled(home)
    asked, large = {RUN: checkpoint.asked(SPEC)}, {RUN: {"weight": torch.zeros(1_000_000)}}
    began = time.perf_counter()
    checkpoint.save(home, "attempt-0", asked, large, epoch=2, threads=1)
    took = time.perf_counter() - began
    interrupted = 0
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    for share in range(1, 20):
        try:
            signal.setitimer(signal.ITIMER_REAL, took * share / 20)
            checkpoint.save(home, "attempt-0", asked, large, epoch=3, threads=1)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
    signal.signal(signal.SIGALRM, before)
    assert interrupted
    assert checkpoint.load(home, RUN, SPEC).epoch in (2, 3)


def test_a_disk_that_gives_back_other_bytes_leaves_the_earlier_checkpoint(home, monkeypatch):
    settled(home, epoch=1)
    real = hashlib.file_digest

    def misread(file, name):
        assert file.read(1)
        return real(file, name)

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", misread)
        with pytest.raises(StoreError, match="other bytes than were written"):
            settled(home, epoch=2)
    assert checkpoint.load(home, RUN, SPEC).epoch == 1


def test_what_is_saved_outlives_its_process_and_what_is_settled_the_boot(home):
    settled(home, epoch=1)
    save(home, epoch=2)
    assert checkpoint.load(home, RUN, SPEC).epoch == 2
    rewritten(home.checkpoints / "attempt-0.members.new", boot="an earlier one")
    assert checkpoint.load(home, RUN, SPEC).epoch == 1


def test_a_torn_save_gives_way_to_what_was_settled_and_is_not_settled_itself(home):
    settled(home, epoch=1)
    save(home, epoch=2)
    file = home.checkpoints / "attempt-0.members.new"
    file.write_bytes(file.read_bytes()[:-40])
    checkpoint.hold(home, "attempt-0")
    with pytest.raises(StoreError, match="other bytes than were written"):
        checkpoint.settle(home, "attempt-0")
    file.unlink()
    assert checkpoint.load(home, RUN, SPEC).epoch == 1


def test_settling_twice_keeps_the_one_before(home):
    settled(home, epoch=1)
    settled(home, epoch=2)
    checkpoint.hold(home, "attempt-0")
    checkpoint.settle(home, "attempt-0")
    for file in ("attempt-0.members", "attempt-0.members.new", "attempt-0.members.older"):
        (home.checkpoints / file).unlink()
    assert checkpoint.load(home, RUN, SPEC).epoch == 1


def test_the_newest_checkpoint_goes_to_another_machine_and_is_settled_there(home, tmp_path):
    settled(home, epoch=1)
    save(home, epoch=2)
    name, content, epoch = checkpoint.packed(home, RUN)
    assert epoch == 2
    other = type(home)(tmp_path / "other")
    other.create()
    checkpoint.place(other, name, content, [RUN])
    rewritten(other.checkpoints / f"{name}.new", boot="that of the first machine")
    assert checkpoint.load(other, RUN, SPEC).epoch == 2


class Bomb:
    """A pickle that would write a file when loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def hostile(body) -> bytes:
    buffer = io.BytesIO()
    torch.save(body, buffer)
    return buffer.getvalue()


def larger_than_its_tensors() -> dict:
    state = json.dumps(["dict", *([number, ["tensor", "torch.float32", 0, 1000]] for number in range(1000))])
    return {
        "format": checkpoint.FORMAT,
        "boot": "any",
        "epoch": 1,
        "threads": 1,
        "members": {RUN: [checkpoint.asked(SPEC), state]},
        "tensors": {"torch.float32": torch.zeros(1000)},
    }


@pytest.mark.parametrize("kind", ["torch", "pickle", "shape", "format", "number", "larger"])
def test_a_hostile_checkpoint_is_refused_and_runs_nothing(home, tmp_path, kind):
    settled(home)
    written = tmp_path / "written"
    payload = {
        "torch": lambda: hostile({"format": checkpoint.FORMAT, "members": {RUN: Bomb(written)}}),
        "pickle": lambda: pickle.dumps(Bomb(written)),
        "shape": lambda: hostile({"format": checkpoint.FORMAT, "epoch": 1, "members": [RUN]}),
        "format": lambda: hostile({"format": 999}),
        "number": lambda: hostile(7),
        "larger": lambda: hostile(larger_than_its_tensors()),
    }[kind]()
    (home.checkpoints / "attempt-0.members.new").unlink()
    (home.checkpoints / "attempt-0.members").write_bytes(payload + hashlib.sha256(payload).digest())
    with pytest.raises(StoreError, match=r"damaged.*--force"):
        checkpoint.load(home, RUN, SPEC)
    assert not written.exists()


def test_a_link_never_leads_out_of_the_folder(home, tmp_path):
    settled(home)
    outside = tmp_path / "attempt-9.members"
    (home.checkpoints / "attempt-0.members").rename(outside)
    (home.checkpoints / "attempt-0.members.new").unlink()
    home.checkpoint(RUN).unlink()
    home.checkpoint(RUN).symlink_to(outside)
    with pytest.raises(StoreError, match="damaged"):
        checkpoint.load(home, RUN, SPEC)
    retention.discard(home, [RUN])
    assert outside.exists()


def test_another_spec_is_refused_by_its_fields(home):
    settled(home)
    with pytest.raises(UsageError, match="another seed;"):
        checkpoint.load(home, RUN, RunSpec(preset=SPEC.preset, loss=SPEC.loss, seed=1, numbers_version=1))


def test_a_file_goes_with_the_last_run_that_needs_it(home):
    settled(home, "first-0", runs=(RUN, OTHER))
    settled(home, "second-0", runs=(RUN,), epoch=2)
    assert {"first-0.members", "second-0.members"} <= names(home)
    assert checkpoint.load(home, OTHER, SPEC).epoch == 1
    retention.discard(home, [RUN])
    assert names(home) == {"first-0.members", "first-0.members.new", f"{OTHER}.pt"}
    retention.discard(home, [OTHER])
    assert names(home) == set()


def test_every_epoch_can_be_kept(home):
    for epoch in (1, 2):
        settled(home, epoch=epoch)
        retention.keep(home, "attempt-0", [RUN], epoch)
    retention.discard(home, [RUN])
    assert names(home) == {f"{RUN}.epoch-1.pt", f"{RUN}.epoch-2.pt"}


def test_what_killed_processes_left_is_tidied_away(home):
    settled(home)
    for left in (
        "dead-0.members",
        "dead-0.members.prev",
        "dead-0.members.new",
        "dead-1.members.tmp",
        "alive-0.members.tmp",
    ):
        (home.checkpoints / left).write_bytes(b"torn")
    retention.tidy(home, lambda name: name.startswith("alive"))
    assert names(home) == {"attempt-0.members", "attempt-0.members.new", f"{RUN}.pt", "alive-0.members.tmp"}
