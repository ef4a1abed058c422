"""What every executor promises, put to each of them. A plan is run once per executor and looked at from many sides."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from lossbench import data, processes
from lossbench.errors import DataError
from lossbench.events import EpochDone, Event, RunEnded, RunStarted
from lossbench.executors import Executor, Group, Inline, Pool, Settings
from lossbench.home import Home
from lossbench.journal import journals, read
from lossbench.losses import resolve
from lossbench.measures import SPEED
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec

CLOCKED = {f"train/{name}" for name in SPEED}
NOWHERE = Path("/nonexistent")


def cell(seed: int = 0, loss: str = "ce", schedule: str = "1", **fields) -> RunSpec:
    settings = {
        "data": DataSpec(name="synthetic-images", limit=40, normalize="channel"),
        "model": ModelSpec(name="digits-cnn"),
        "optimizer": OptimizerSpec(name="sgd", lr=0.02, momentum=0.9, schedule=schedule),
        "epochs": 3,
        "batch_size": 16,
    } | fields
    preset = Preset(name="test", **settings)
    return RunSpec(preset=preset, loss=resolve(loss), seed=seed, numbers_version=NUMBERS_VERSION)


def endless(seed: int) -> RunSpec:
    """A run that does not end by itself while a test looks."""
    return cell(seed, epochs=100_000)


def group(spec: RunSpec, run_id: str | None = None) -> Group:
    return Group(cells=(spec,), run_ids=(run_id,))


def never() -> bool:
    return False


def executor_of(kind: str, home: Home) -> Executor:
    settings = Settings(home=home, data_folder=NOWHERE, device="cpu", threads=1)
    return Inline(settings) if kind == "inline" else Pool(settings, workers=2)


def journalled(home: Home) -> list[dict]:
    return [line.body for path in journals(home) for line in read(path)]


def by_run(events: list[Event]) -> dict[str, list[Event]]:
    runs = defaultdict(list)
    for event in events:
        runs[event.run_id].append(event)
    return runs


def statuses(events: list[Event]) -> list[str]:
    return [event.status for event in events if isinstance(event, RunEnded)]


def values(events: list[Event]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in event.metrics.values.items() if name not in CLOCKED}
        for event in events
        if isinstance(event, EpochDone)
    ]


@pytest.fixture(scope="class", params=["inline", "pool"])
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="class")
def finished(kind, tmp_path_factory):
    """A plan carried out: cells that train, one that diverges, one that cannot begin."""
    home = Home(tmp_path_factory.mktemp(kind) / "home")
    home.create()
    plan = [cell(0), cell(1, "adaptive"), cell(2, schedule="1e30"), cell(data=DataSpec(name="cifar100")), cell(3)]
    events = []
    with pytest.raises(DataError) as raised:
        events += executor_events(kind, home, plan, events)
    return plan, home, events, raised.value


def executor_events(kind, home, plan, events) -> list[Event]:
    for event in executor_of(kind, home).run([group(each) for each in plan], never):
        events.append(event)
    return []


class TestContract:
    def test_each_cell_that_can_begin_starts_and_ends_once(self, finished):
        plan, _, events, _ = finished
        runs = by_run(events)
        begun = [each.key for each in plan if each.preset.data.name != "cifar100"]
        assert sorted(told[0].key for told in runs.values()) == sorted(begun)
        for told in runs.values():
            assert [isinstance(event, RunStarted) for event in told] == [True] + [False] * (len(told) - 1)
            assert len(statuses(told)) == 1
            assert isinstance(told[-1], RunEnded)

    def test_epochs_come_in_order(self, finished):
        _, _, events, _ = finished
        for told in by_run(events).values():
            epochs = [event.metrics.epoch for event in told if isinstance(event, EpochDone)]
            assert epochs == ([1, 2, 3] if told[-1].status == "done" else [])

    def test_a_run_that_breaks_down_leaves_the_others_alone(self, finished):
        assert sorted(statuses(finished[2])) == ["diverged", "done", "done", "done"]

    def test_what_cannot_begin_is_raised_once_the_others_are_done(self, finished):
        assert "cifar100" in str(finished[3])

    def test_every_event_told_is_in_a_journal(self, finished):
        _, home, events, _ = finished
        recorded = [(body["run_id"], body["at"]) for body in journalled(home)]
        assert sorted((event.run_id, event.at) for event in events) == sorted(recorded)

    def test_groups_begin_in_the_order_of_the_plan(self, finished):
        plan, _, events, _ = finished
        keys = [each.key for each in plan]
        # Who is faster may begin earlier, so the order is that of what each process was given.
        begun = defaultdict(list)
        for event in events:
            if isinstance(event, RunStarted):
                begun[event.provenance["pid"]].append(keys.index(event.key))
        assert all(places == sorted(places) for places in begun.values())

    def test_numbers_do_not_depend_on_the_executor(self, finished, tmp_path_factory):
        plan, _, events, _ = finished
        other = Home(tmp_path_factory.mktemp("alone") / "home")
        for spec in plan[:2]:
            alone = list(executor_of("inline", other).run([group(spec)], never))
            (told,) = (told for told in by_run(events).values() if told[0].key == spec.key)
            assert values(told) == values(alone)

    def test_stopping_interrupts_what_runs_and_the_same_groups_go_on(self, kind, home):
        plan = [endless(0), endless(1), cell(2)]
        events = []
        for event in executor_of(kind, home).run([group(each) for each in plan], lambda: len(events) > 8):
            events.append(event)
        runs = by_run(events)
        assert set(statuses(events)) == {"interrupted"}
        assert len(statuses(events)) == len(runs) == (1 if kind == "inline" else 2)
        run_id, told = next(iter(runs.items()))
        seen = len(values(told))
        again = []
        groups = [group(endless(0) if told[0].key == plan[0].key else endless(1), run_id)]
        for event in executor_of("inline", home).run(groups, lambda: len(again) > 2):
            again.append(event)
        assert again[0].run_id == run_id
        assert again[0].from_epoch == seen


def test_a_bug_met_before_a_group_begins_is_raised_once_the_others_are_done(home, monkeypatch):
    real = data.load

    def load(spec, folder):
        if spec.limit == 7:
            raise ZeroDivisionError("a bug")
        return real(spec, folder)

    monkeypatch.setattr(data, "load", load)
    broken = cell(data=DataSpec(name="synthetic-images", limit=7))
    events = []
    running = executor_of("inline", home).run([group(broken), group(cell(1))], never)
    with pytest.raises(ZeroDivisionError):
        events.extend(iter(lambda: events.append(next(running)), 0))
    assert statuses(events) == ["done"]


def test_workers_survive_ctrl_c_end_on_sigterm_and_are_replaced_when_killed(home):
    pool = Pool(Settings(home=home, data_folder=NOWHERE, device="cpu"), workers=2)
    killed, terminated = endless(0), endless(1)
    events, process, sent = [], {}, set()
    for event in pool.run([group(each) for each in (killed, terminated, cell(2), cell(3))], never):
        events.append(event)
        if isinstance(event, RunStarted):
            process[event.run_id] = event
        if isinstance(event, EpochDone) and event.metrics.epoch >= 3 and event.run_id not in sent:
            started = process[event.run_id]
            os.kill(started.provenance["pid"], signal.SIGINT)
            if started.key in (killed.key, terminated.key):
                sent.add(event.run_id)
                os.kill(started.provenance["pid"], signal.SIGKILL if started.key == killed.key else signal.SIGTERM)
    ended = {process[event.run_id].key: event for event in events if isinstance(event, RunEnded)}
    assert ended[killed.key].status == "failed"
    assert "SIGKILL" in ended[killed.key].reason
    assert ended[terminated.key].status == "interrupted"
    assert [ended[each.key].status for each in (cell(2), cell(3))] == ["done", "done"]
    assert sorted(statuses(events)) == sorted(body["status"] for body in journalled(home) if body["kind"] == "ended")
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {started.provenance["threads"] for started in process.values()} == {share}
    assert len({started.provenance["pid"] for started in process.values()}) >= 3


def children() -> set[str]:
    """The processes this one has begun, and that have not been waited for."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_workers_that_rehearsed_train_what_follows_and_their_numbers_stay(home, tmp_path):
    before, plan = children(), [group(cell(0)), group(cell(1, "adaptive"))]
    pool = Pool(Settings(home=home, data_folder=NOWHERE, device="cpu", threads=1), workers=1)
    assert pool.pace(plan[:1]) > 0
    first = children() - before
    assert pool.pace(plan) > 0
    kept = children() - before
    assert (len(first), len(kept)) == (1, 2)
    assert first < kept
    events = list(pool.run(plan, never))
    started = [event for event in events if isinstance(event, RunStarted)]
    assert {str(event.provenance["pid"]) for event in started} == kept
    alone = Home(tmp_path / "alone")
    alone.create()
    in_turn = list(executor_of("inline", alone).run(plan, never))
    of_runs, of_runs_in_turn = by_run(events).values(), by_run(in_turn).values()
    assert sorted(map(values, of_runs), key=str) == sorted(map(values, of_runs_in_turn), key=str)
    assert children() == before
    assert len(journalled(home)) == len(journalled(alone))


@pytest.mark.parametrize("spoilt", [0, 1])
def test_a_rehearsal_that_fails_says_why_and_leaves_no_worker_once_closed(home, spoilt):
    before, plan = children(), [group(cell(0)), group(cell(1))]
    plan[spoilt] = group(cell(data=DataSpec(name="cifar100")))
    pool = Pool(Settings(home=home, data_folder=NOWHERE, device="cpu"), workers=2)
    with pytest.raises(DataError, match="cifar100"):
        pool.pace(plan)
    pool.close()
    assert children() == before


def test_workers_whose_parent_is_killed_stop_and_leave_checkpoints(home, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_contract import Home, NOWHERE, Path, Pool, Settings, endless, group, never
settings = Settings(home=Home(Path({str(home.root)!r})), data_folder=NOWHERE, device="cpu")
for event in Pool(settings, workers=1).run([group(endless(0))], never):
    print(event.run_id, flush=True)
"""
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        for _ in range(3):
            assert parent.stdout.readline()
        parent.kill()
    started = journalled(home)[0]
    deadline = time.monotonic() + 60
    while processes.alive(started["provenance"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert journalled(home)[-1]["status"] == "interrupted"
    assert home.checkpoint(started["run_id"]).exists()


def test_each_slot_is_pinned_to_one_gpu_and_every_gpu_has_its_slots(home):
    pool = Pool(Settings(home=home, data_folder=NOWHERE, device="cpu"), workers=4, gpus=["5", "GPU-1f"])
    running, pinned = {}, []

    def all_four_have_begun() -> bool:
        return len(running) == 4

    for event in pool.run([group(endless(seed)) for seed in range(4)], all_four_have_begun):
        if isinstance(event, RunStarted):
            running[event.run_id] = event.provenance["pid"]
            pinned.append(event.provenance["visible_gpus"])
    assert sorted(pinned) == ["5", "5", "GPU-1f", "GPU-1f"]
    assert len(set(running.values())) == 4
