"""Executing runs: what reaches the journal, resume from checkpoints, and every way a run can end."""

import json
import os
import re
import resource
import subprocess
from pathlib import Path

import pytest
import torch

from lossbench import checkpoint, data, losses, saving
from lossbench.cohort.cohort import Cohort
from lossbench.errors import DataError, LossbenchError, StoreError, UsageError
from lossbench.events import EpochDone, PredictionsKept, RunEnded, RunStarted, to_json
from lossbench.experiment import execute
from lossbench.journal import Journal, journals, read
from lossbench.measures import SPEED
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.trainer import Trainer

CLOCKED = {f"train/{name}" for name in SPEED}
NOWHERE = Path("/nonexistent")
CHECKOUT = Path(__file__).parents[1]


def spec(loss: str = "ce", seed: int = 0, lr: float = 0.05, schedule: str = "1", **fields) -> RunSpec:
    settings = {
        "data": DataSpec(name="synthetic-images", limit=40, normalize="channel"),
        "model": ModelSpec(name="digits-cnn", dropout=0.2),
        "optimizer": OptimizerSpec(name="sgd", lr=lr, momentum=0.9, schedule=schedule),
        "epochs": 4,
        "batch_size": 16,
    } | fields
    return RunSpec(
        preset=Preset(name="test", **settings), loss=losses.resolve(loss), seed=seed, numbers_version=NUMBERS_VERSION
    )


def run(home, *cells, **options):
    return list(execute(cells or [spec()], home, data_folder=NOWHERE, device="cpu", **options))


def after(epochs: int):
    """A wish to stop once that many epochs are recorded; the consumer counts them."""
    seen = []

    def stop() -> bool:
        return len(seen) >= epochs

    return seen, stop


def interrupted(home, epochs: int, *cells, **options) -> list:
    seen, stop = after(epochs)
    events = []
    for event in execute(cells or [spec()], home, data_folder=NOWHERE, device="cpu", stop=stop, **options):
        events.append(event)
        if isinstance(event, EpochDone):
            seen.append(event)
    return events


def checkpoints(home) -> list[Path]:
    return [path for path in home.checkpoints.iterdir() if path.name != "claims.lock"]


def kinds(events) -> list[type]:
    return [type(event) for event in events]


def records(events) -> list[dict[str, float]]:
    """The numbers of every epoch, without those that a clock gives."""
    return [
        {name: value for name, value in event.metrics.values.items() if name not in CLOCKED}
        | {"epoch": event.metrics.epoch}
        for event in events
        if isinstance(event, EpochDone)
    ]


def test_a_run_from_start_to_end(home):
    events = run(home)
    assert kinds(events) == [RunStarted, EpochDone, EpochDone, EpochDone, EpochDone, PredictionsKept, RunEnded]
    assert [event.metrics.epoch for event in events[1:5]] == [1, 2, 3, 4]
    assert len({event.run_id for event in events}) == 1
    assert events[-1].status == "done"
    assert events[-2].split == "test"
    assert events[-2].epoch == 4
    assert checkpoints(home) == []


def test_events_are_in_the_journal_before_anybody_sees_them(home):
    seen = []
    for event in execute([spec()], home, data_folder=NOWHERE, device="cpu"):
        seen.append(event)
        (path,) = journals(home)
        lines = [line.body for line in read(path)]
        assert [line["kind"] for line in lines] == [to_json(each)["kind"] for each in seen]
        assert lines[-1]["at"] == event.at


def test_the_start_says_what_was_asked_and_under_what_circumstances(home):
    started = run(home)[0]
    assert started.key == spec().key
    assert started.recipe == spec().recipe
    assert started.spec["preset"]["batch_size"] == 16
    found = started.provenance
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    assert found["pid"] == os.getpid()
    assert found["threads"] == torch.get_num_threads()
    if (CHECKOUT / ".git").exists():
        head = subprocess.run(["git", "-C", CHECKOUT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        assert found["git_commit"] == head.stdout.strip()
        assert isinstance(found["git_dirty"], bool)
    assert json.loads(json.dumps(started.provenance)) == started.provenance


@pytest.mark.parametrize("loss", ["ce", "focal:gamma=learned(2)"])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(home, loss, epochs):
    expected = records(run(home, spec(loss)))
    first = interrupted(home, epochs, spec(loss))
    assert first[-1].status == "interrupted"
    second = run(home, spec(loss), run_ids=[first[0].run_id])
    assert second[0].from_epoch == epochs
    assert second[0].run_id == first[0].run_id
    assert second[-1].status == "done"
    assert records(first) + records(second) == expected
    assert checkpoints(home) == []


def test_a_run_stopped_in_its_first_epoch_starts_again_under_its_id(home):
    first = interrupted(home, 0)
    assert kinds(first) == [RunStarted, RunEnded]
    second = run(home, run_ids=[first[0].run_id])
    assert second[0].from_epoch == 0
    assert second[-1].run_id == first[0].run_id


def test_stopping_settles_the_last_finished_epoch_even_when_that_is_rare(home, monkeypatch):
    monkeypatch.setattr(saving, "CPU_SHARE", 1e-9)
    first = interrupted(home, 3)
    for unsettled in [*home.checkpoints.glob("*.new"), *home.checkpoints.glob("*.older")]:
        unsettled.unlink()
    assert checkpoint.load(home, first[0].run_id, spec()).epoch == 3


def test_a_checkpoint_of_another_spec_is_refused_by_its_fields(home):
    first = interrupted(home, 1)
    with pytest.raises(UsageError, match=r"preset\.batch_size, preset\.epochs.*--force"):
        run(home, spec(batch_size=8, epochs=5), run_ids=[first[0].run_id])


def test_a_resumed_run_keeps_its_number_of_threads(home):
    before = torch.get_num_threads()
    try:
        first = interrupted(home, 1, threads=2)
        second = run(home, run_ids=[first[0].run_id], threads=1)
        assert first[0].provenance["threads"] == second[0].provenance["threads"] == 2
    finally:
        torch.set_num_threads(before)


def test_a_torn_checkpoint_gives_way_to_the_one_before_it(home):
    first = interrupted(home, 3, keep="all")
    (file,) = home.checkpoints.glob("*.members")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    second = run(home, run_ids=[first[0].run_id])
    assert 0 < second[0].from_epoch < 3
    expected = records(run(home))
    assert records(second) == expected[second[0].from_epoch :]


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"PK\3\4 not a zip"])
def test_a_run_whose_checkpoints_are_all_damaged_is_refused_and_can_be_forced(home, content):
    first = interrupted(home, 2)
    for file in home.checkpoints.glob("*.members*"):
        file.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged.*--force"):
        run(home, run_ids=[first[0].run_id])


def test_a_diverged_run_keeps_its_finite_epochs(home):
    events = run(home, spec(schedule="milestones(1e30,2)"))
    assert kinds(events) == [RunStarted, EpochDone, EpochDone, RunEnded]
    assert events[-1].status == "diverged"
    assert "in epoch 3" in events[-1].reason
    assert checkpoints(home) == []


def breaking(error):
    """A trainer's epochs that break after the first."""

    def epochs(self, stop):
        yield next(iter(real(self, stop)))
        raise error

    real = Trainer.epochs
    return epochs


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("a bug\nof two lines"), r"ValueError: a bug \(traceback in .*\.log\)"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to ..."), "out of memory at batch size 16: the machine has"),
        (OSError(24, "Too many open files"), r"OSError: .*Too many open files"),
    ],
)
def test_an_error_inside_a_run_ends_it_as_failed_with_one_line(home, monkeypatch, error, reason):
    monkeypatch.setattr(Trainer, "epochs", breaking(error))
    events = run(home)
    assert kinds(events) == [RunStarted, EpochDone, RunEnded]
    assert events[-1].status == "failed"
    assert "\n" not in events[-1].reason

    assert re.search(reason, events[-1].reason)


def test_memory_that_is_really_not_there_is_named_with_the_batch_size(home, monkeypatch):
    monkeypatch.setattr(Trainer, "_forward", lambda self, network, inputs: torch.empty(10**15))
    *_, last = run(home)
    assert last.status == "failed"
    assert re.fullmatch(r"out of memory at batch size 16: the machine has \d+ MiB", last.reason)


def test_a_limit_on_open_files_fails_the_run_in_one_sentence(home):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    events = []
    try:
        for event in execute([spec()], home, data_folder=NOWHERE, device="cpu", keep="all"):
            events.append(event)
            if isinstance(event, EpochDone) and event.metrics.epoch == 2:
                next_free = os.dup(0)
                os.close(next_free)
                resource.setrlimit(resource.RLIMIT_NOFILE, (next_free, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert kinds(events) == [RunStarted, EpochDone, EpochDone, RunEnded]
    assert re.search("cannot write checkpoint .*: Too many open files", events[-1].reason)
    assert checkpoint.load(home, events[0].run_id, spec()).epoch == 1


def test_what_cannot_begin_is_raised_and_leaves_no_run(home):
    with pytest.raises(UsageError, match="needs at least 6 epochs"):
        run(home, spec("ce-el:focus=0-0.5"))
    with pytest.raises(UsageError, match="no device 'cuda:7'"):
        list(execute([spec()], home, data_folder=NOWHERE, device="cuda:7"))
    with pytest.raises(UsageError, match="no device 'tpu'"):
        list(execute([spec()], home, data_folder=NOWHERE, device="tpu"))
    with pytest.raises(DataError):
        run(home, spec(data=DataSpec(name="cifar100")))
    with pytest.raises(LossbenchError):
        run(home, spec(model=ModelSpec(name="digits-cnn", hidden=(3,))))
    assert all(not list(read(path)) for path in journals(home))


def test_a_consumer_that_goes_away_leaves_an_interrupted_run(home):
    events = execute([spec()], home, data_folder=NOWHERE, device="cpu")
    run_id = next(events).run_id
    next(events)
    next(events)
    events.close()
    (path,) = journals(home)
    *_, last = read(path)
    assert last.body["status"] == "interrupted"
    assert run(home, run_ids=[run_id])[-1].status == "done"


@pytest.mark.parametrize(("keep", "kept"), [("none", 0), ("last", 1), ("all", 4)])
def test_checkpoints_that_are_kept(home, keep, kept):
    run_id = run(home, keep=keep)[0].run_id
    if keep != "none":
        assert checkpoint.load(home, run_id, spec()).epoch == 4
    assert len(list(home.checkpoints.glob("*.epoch-*.pt"))) == (kept if keep == "all" else 0)


def test_a_full_disk_fails_the_run_and_keeps_its_epochs(home, monkeypatch):
    def full(*args, **options):
        raise StoreError("cannot write checkpoint: No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    events = run(home, keep="all")
    assert kinds(events) == [RunStarted, EpochDone, RunEnded]
    assert events[-1].reason == "cannot write checkpoint: No space left on device"
    # Where training does not wait for the disk, the run fails an epoch or more later, but before it goes on for ever.
    *epochs, last = run(home, spec(epochs=10**6))[1:]
    assert last.reason == "cannot write checkpoint: No space left on device"
    assert [event.metrics.epoch for event in epochs] == list(range(1, len(epochs) + 1))


def test_a_journal_that_fails_once_still_takes_the_last_word(home, monkeypatch):
    real = Journal.extend
    calls = []

    def extend(self, events, *, sync=False):
        calls.append(events)
        if len(calls) == 3:
            raise StoreError("cannot write journal: No space left on device")
        real(self, events, sync=sync)

    monkeypatch.setattr(Journal, "extend", extend)
    events = run(home)
    assert events[-1].status == "failed"
    (path,) = journals(home)
    assert [line.body["kind"] for line in read(path)] == ["started", "epoch", "ended"]


FEATURES = {"data": DataSpec(name="synthetic"), "model": ModelSpec(name="mlp", hidden=(5,))}
MEMBERS = [
    spec("ce", 0, **FEATURES),
    spec("adaptive", 0, lr=0.1, **FEATURES),
    spec("focal:gamma=learned(2)", 1, **FEATURES),
    spec("ce", 1, schedule="milestones(1e30,2)", **FEATURES),
]


def by_key(events) -> dict[str, list]:
    keys = {event.run_id: event.key for event in events if isinstance(event, RunStarted)}
    runs = {}
    for event in events:
        runs.setdefault(keys[event.run_id], []).append(event)
    return runs


def test_members_of_a_cohort_have_the_numbers_they_have_alone(home, monkeypatch):
    loads = []
    real = data.load
    monkeypatch.setattr(data, "load", lambda *args: loads.append(args) or real(*args))
    together = by_key(run(home, *MEMBERS))
    assert len(loads) == 1
    assert len(list(journals(home))) == 1
    for member in MEMBERS:
        told = together[member.key]
        assert records(told) == records(run(home, member))
        assert told[-1].status == ("diverged" if "1e30" in member.preset.optimizer.schedule else "done")
    assert len(records(together[MEMBERS[3].key])) == 2
    assert checkpoints(home) == []


def test_an_interrupted_cohort_goes_on_whole_in_parts_and_with_newcomers(home):
    expected = {key: records(told) for key, told in by_key(run(home, *MEMBERS)).items()}
    first = by_key(interrupted(home, len(MEMBERS), *MEMBERS))
    ids = [first[member.key][0].run_id for member in MEMBERS]
    assert [checkpoint.load(home, run_id, member).epoch for run_id, member in zip(ids, MEMBERS, strict=True)] == [1] * 4
    newcomer = spec("mae", 5, **FEATURES)
    second = by_key(run(home, MEMBERS[2], newcomer, MEMBERS[0], run_ids=[ids[2], None, ids[0]]))
    assert len(records(second[newcomer.key])) == 4
    third = by_key(run(home, MEMBERS[3], MEMBERS[1], run_ids=[ids[3], ids[1]]))
    for member in MEMBERS:
        later = (second | third)[member.key]
        assert later[0].from_epoch == 1
        assert records(first[member.key]) + records(later) == expected[member.key]
    assert checkpoints(home) == []


def test_an_error_fails_every_member_of_a_cohort(home, monkeypatch):
    monkeypatch.setattr(Cohort, "predictions", lambda self: 1 / 0)
    events = run(home, *MEMBERS[:2])
    assert [event.status for event in events if isinstance(event, RunEnded)] == ["failed", "failed"]
