"""A Ray cluster of two node processes: what it computes, and what a lost node leaves undone."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import lossbench
from lossbench import checkpoint, processes, retention
from lossbench.errors import UsageError
from lossbench.events import EpochDone, RunEnded, RunStarted
from lossbench.executors import Settings
from lossbench.executors.nodes import Answer, folder_for, look, name_of, refuse_unlike, visit
from lossbench.home import Home
from lossbench.journal import journals, read
from tests.executors.test_contract import (
    NOWHERE,
    by_run,
    cell,
    endless,
    executor_of,
    group,
    journalled,
    never,
    statuses,
    values,
)

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    """A head without processors and one node that can train; tests add the node they lose."""
    from ray.cluster_utils import Cluster

    # A lost node is missed within three seconds, not fifteen.
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": {"health_check_period_ms": 500}}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def ray_on(cluster, home: Home):
    from lossbench.executors.ray import Ray

    return Ray(Settings(home=home, data_folder=NOWHERE, device="cpu", threads=1), address=cluster.address)


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_sweep_outlives_a_lost_node_and_gives_the_numbers_of_one_process(cluster, home, tmp_path, capfd):
    lost = cluster.add_node(num_cpus=1)
    raylet = lost.all_processes["raylet"][0].process.pid
    plan = [cell(0, epochs=120), cell(1, "adaptive", epochs=120), cell(2, schedule="1e30")]
    executor = ray_on(cluster, home)
    assert executor.room() == 2
    events, there, removed = [], set(), False
    for event in executor.run([group(each) for each in plan], never):
        events.append(event)
        if isinstance(event, RunStarted) and parent_of(event.provenance["node"]["pid"]) == raylet:
            there.add(event.run_id)
        if isinstance(event, EpochDone) and event.run_id in there and not removed:
            removed = True
            cluster.remove_node(lost, allow_graceful=False)
    runs = by_run(events)
    ended = {told[0].key: told[-1] for told in runs.values()}
    assert sorted(end.status for end in ended.values() if isinstance(end, RunEnded)) == ["diverged", "done", "done"]
    taken_up = [told for told in runs.values() if sum(isinstance(event, RunStarted) for event in told) > 1]
    assert taken_up
    assert all(sum(isinstance(event, RunEnded) for event in told) == 1 for told in runs.values())
    alone = by_run(list(executor_of("inline", Home(tmp_path / "alone")).run([group(each) for each in plan], never)))
    expected = {told[0].key: {e.metrics.epoch: e for e in told if isinstance(e, EpochDone)} for told in alone.values()}
    for told in runs.values():
        seen = {event.metrics.epoch: event for event in told if isinstance(event, EpochDone)}
        wanted = expected[told[0].key]
        assert list(seen) == list(wanted)
        assert values([*seen.values()]) == values([*wanted.values()])
    recorded = [(body["run_id"], body["at"]) for body in journalled(home)]
    heard = [(event.run_id, event.at) for event in events]
    assert len(set(recorded)) == len(recorded)
    # What the lost node did not live to tell has been fetched from where it was.
    assert {run_id for run_id, _ in {*recorded} - {*heard}} <= {told[0].run_id for told in taken_up}
    assert {*heard} <= {*recorded}
    assert len(set(heard)) == len(heard)
    assert not folder_for(name_of(home)).exists()
    assert capfd.readouterr().out == ""


def test_a_killed_driver_leaves_nothing_undone_that_the_next_one_does_not_find(cluster, home, tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from lossbench.executors.ray import Ray
from lossbench.executors import Settings
from tests.executors.test_contract import Home, NOWHERE, Path, endless, group, never
settings = Settings(home=Home(Path({str(home.root)!r})), data_folder=NOWHERE, device="cpu", threads=1)
for event in Ray(settings, address={cluster.address!r}).run([group(endless(0))], never):
    print(event.run_id, flush=True)
"""
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as driver:
        lines = [driver.stdout.readline() for _ in range(5)]
        os.kill(driver.pid, signal.SIGKILL)
    (run_id,) = {line.strip() for line in lines}
    known = {body["epoch"] for body in journalled(home) if body["kind"] == "epoch"}
    (path,) = journals(home)
    path.write_bytes(path.read_bytes()[:-1])
    node = journalled(home)[0]["provenance"]["node"]
    until(lambda: not processes.alive(node))
    there = folder_for(name_of(home))
    ((folder, left),) = [(Home(each), checkpoint.packed(Home(each), run_id)) for each in there.glob("*/")]
    trained = [line.body["epoch"] for line in read(folder.journals / path.name) if line.body["kind"] == "epoch"]
    # What the driver has of it may be older, or nothing.
    retention.discard(home, [run_id])
    events = []
    again = ray_on(cluster, home)
    for event in again.run([group(endless(0), run_id)], lambda: any(isinstance(each, EpochDone) for each in events)):
        events.append(event)
    assert events[-1].status == "interrupted"
    assert {event.run_id for event in events} == {run_id}
    epochs = [line.body["epoch"] for line in read(path) if line.body["kind"] == "epoch"]
    assert known <= set(epochs)
    assert epochs == trained == list(range(1, len(epochs) + 1))
    assert len(epochs) - 1 <= events[0].from_epoch == left[2] <= len(epochs)
    assert not there.exists()


def test_a_node_that_joins_later_is_asked_before_it_takes_a_cell(cluster, home, tmp_path, monkeypatch):
    monkeypatch.setattr("lossbench.executors.ray.LOOK_SECONDS", 0.2)
    (tmp_path / "sitecustomize.py").write_text("import time\nright = time.time\ntime.time = lambda: right() + 3600\n")
    joined, events = [], []
    there = folder_for(name_of(home))

    def both_train() -> bool:
        return len({event.run_id for event in events if isinstance(event, EpochDone)}) == 2

    executor = ray_on(cluster, home)
    assert executor.room() == 1
    running = executor.run([group(endless(0)), group(endless(1))], both_train)

    def follow() -> None:
        for event in running:
            events.append(event)
            if not joined:
                joined.append(cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(tmp_path)}))
            # The second cell was about to be given to the one that has joined; then to another.
            if len(joined) == 1 and len([*there.glob("*/")]) == 2:
                joined.append(cluster.add_node(num_cpus=1))

    try:
        with pytest.raises(UsageError, match=rf"node {platform.node()} is 3[56]\d\d s ahead of this"):
            follow()
    finally:
        for each in joined:
            cluster.remove_node(each)
    assert statuses(events) == ["interrupted", "interrupted"]
    assert not there.exists()


def test_what_was_made_for_a_home_that_is_gone_is_cleared_away_by_the_next_visit(home, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kept, gone = Home(tmp_path / "kept"), Home(tmp_path / "gone")
    script = f"""
import time
from lossbench.executors import Settings
from lossbench.executors.nodes import Home, Path, Seat, name_of
homes = [Home(Path({str(kept.root)!r})), Home(Path({str(gone.root)!r}))]
for each in homes:
    each.create()
seats = [Seat(name_of(each), Settings(home=each, data_folder=each.root), None, {{}}) for each in homes]
print(flush=True)
time.sleep(1000)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as process:
        process.stdout.readline()
        shutil.rmtree(gone.root)
        visit(name_of(home), {}, ())
        assert folder_for(name_of(gone)).exists()
        process.kill()
    visit(name_of(home), {}, ())
    assert not folder_for(name_of(gone)).exists()
    # Its next sweep may want to know of this one.
    assert folder_for(name_of(kept)).exists()
    visit(name_of(kept), {}, ())
    assert not folder_for(name_of(kept)).exists()


def test_what_a_cluster_cannot_do_is_one_sentence(cluster, home):
    from lossbench.executors.ray import Ray

    settings = Settings(home=home, data_folder=NOWHERE, device="cpu", threads=97)
    with pytest.raises(UsageError, match=r"no node has the 97 CPUs .* of one cell: .* 0 CPUs"):
        list(Ray(settings, address=cluster.address).run([group(cell())], never))
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        list(Ray(settings, address="127.0.0.1:1").run([group(cell())], never))
    with pytest.raises(UsageError, match="HOST:PORT"):
        list(Ray(settings, address="nowhere").run([group(cell())], never))
    with pytest.raises(UsageError, match="--checkpoint-dir"):
        Ray(replace(settings, keep="all"))


def test_a_node_of_other_code_and_with_another_time_is_refused_by_name(cluster, home, tmp_path):
    package = Path(lossbench.__file__).parent
    shutil.copytree(package, tmp_path / "lossbench", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "lossbench" / "trainer.py").open("a") as file:
        file.write("# one more line\n")
    # Python imports this file before anything else.
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nright = time.time\ntime.time = lambda: right() - 3600\n", encoding="utf-8"
    )
    unlike = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(tmp_path)})
    sweep = [sys.executable, "-P", "-m", "lossbench", "sweep", "digits-cnn", "-n", "1", "--home", str(home.root)]
    try:
        engine = ["--engine", "ray", "--address", cluster.address, "--threads", "1"]
        refused = subprocess.run([*sweep, *engine], capture_output=True, text=True, timeout=100, cwd=home.root)
    finally:
        cluster.remove_node(unlike)
    assert refused.returncode == 2
    assert refused.stdout == ""
    code, clock = refused.stderr.splitlines()
    name, there, here = re.fullmatch(
        r"lossbench: node (\S+) runs (.*), this machine (.*); install the same on both", code
    ).groups()
    assert name == platform.node()
    assert here == look().code != there
    assert re.fullmatch(rf"the clock of node {name} is 3[56]\d\d s behind this machine's; .*", clock)
    assert journalled(home) == []


@pytest.mark.parametrize(
    ("clock", "skew"), [(100.0, 0.0), (130.0, 0.0), (99.0, -1.0), (140.0, 10.0), (141.0, 11.0), (40.0, -60.0)]
)
def test_a_slow_answer_is_no_wrong_clock(clock, skew):
    answer = Answer(node=replace(look(), clock=clock), asked=100.0, heard=130.0)
    assert answer.skew == skew
    if abs(skew) <= 10:
        refuse_unlike([answer], look())
    else:
        with pytest.raises(UsageError, match=f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine"):
            refuse_unlike([answer], look())
