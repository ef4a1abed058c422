"""What a node tells its driver: everything that was written, whatever goes wrong."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lossbench import checkpoint, losses, processes, retention
from lossbench.errors import StoreError
from lossbench.events import EpochDone, RunStarted
from lossbench.executors import Group, Settings, nodes
from lossbench.executors.nodes import Saved, Seat, Told
from lossbench.experiment import execute
from lossbench.home import Home
from lossbench.journal import journals, read
from lossbench.spec import DataSpec, RunSpec
from tests.store.conftest import a_spec

RUN = "aaaaaaaaaa"


def cell(seed: int, epochs: int = 60) -> RunSpec:
    made = a_spec(seed=seed, epochs=epochs)
    return replace(
        made, loss=losses.resolve("ce"), preset=replace(made.preset, data=DataSpec(name="synthetic", limit=40))
    )


def settled(home: Home, epoch: int) -> Path:
    spec = a_spec()
    checkpoint.save(home, "attempt-0", {RUN: checkpoint.asked(spec)}, {RUN: {}}, epoch=epoch, threads=1)
    checkpoint.hold(home, "attempt-0")
    checkpoint.settle(home, "attempt-0")
    retention.link(home, "attempt-0", [RUN])
    return retention.of_program(home, "attempt-0")


def test_of_two_checkpoints_within_one_tick_of_the_clock_the_second_is_told_too(home: Home) -> None:
    first = settled(home, 1).stat()
    outbox = nodes._Outbox(home)
    os.utime(settled(home, 2), ns=(first.st_atime_ns, first.st_mtime_ns))
    (saved,) = outbox.news()
    assert isinstance(saved, Saved)
    assert saved.content == retention.of_program(home, "attempt-0").read_bytes()
    assert list(outbox.news()) == []


@pytest.fixture
def seat(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seat:
    monkeypatch.setattr(nodes, "folder_for", lambda driver: tmp_path / driver)
    settings = Settings(home=home, data_folder=tmp_path, device="cpu", threads=1)
    return Seat("driver", settings, None, processes.identity())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def trained_for_two_epochs(home: Home, spec: RunSpec) -> tuple[str, Saved]:
    """A run that was interrupted, and its checkpoint."""
    seen: list[EpochDone] = []
    for event in execute([spec], home, data_folder=home.root, device="cpu", stop=lambda: len(seen) >= 2, threads=1):
        if isinstance(event, EpochDone):
            seen.append(event)
    run_id = seen[0].run_id
    found = checkpoint.packed(home, run_id)
    assert found is not None
    return run_id, Saved(name=found[0], content=found[1], run_ids=(run_id,))


def test_what_was_written_before_the_disk_of_a_node_was_full_is_told(home: Home, seat: Seat, tmp_path: Path) -> None:
    fresh, begun = cell(0), cell(1)
    run_id, saved = trained_for_two_epochs(home, begun)
    group = Group(cells=(fresh, begun), run_ids=(None, run_id))
    # The new cell is trained first, and the other cannot even begin: there is no room for its first line.
    calm = Home(tmp_path / "calm")
    with files_of_at_most(_lines(calm, fresh)[-1].end + 1000):
        news = list(seat.train(group, [saved]))
    (node,) = (each for each in (tmp_path / "driver").iterdir() if each.is_dir())
    (path,) = journals(Home(node))
    written = list(read(path))
    told = b"".join(each.lines for each in news if isinstance(each, Told))
    assert [line.body["kind"] for line in written] == ["started", *["epoch"] * 60, "predictions", "ended"]
    assert told == path.read_bytes()
    assert isinstance(news[-1], StoreError)


def _lines(home: Home, spec: RunSpec) -> list:
    events = list(execute([spec], home, data_folder=home.root, device="cpu", threads=1))
    assert isinstance(events[0], RunStarted)
    (path,) = journals(home)
    return list(read(path))
