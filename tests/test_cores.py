"""Sharing the cores: parts that do not overlap, processes that come and go, threads that all move."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from lossbench import cores

TRAINS = """
import os, sys
from lossbench import cores
cores.LOOK_SECONDS = 0
with cores.sharing(1) as neighbours:
    for _ in sys.stdin:
        neighbours.look()
        print(*sorted(os.sched_getaffinity(0)), flush=True)
"""

several = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores"
)


@pytest.fixture(autouse=True)
def _own_meeting_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def another() -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts processes that train."""
    started = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", TRAINS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def cores_of(process: "subprocess.Popen[str]") -> list[int]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("look\n")
    process.stdin.flush()
    return [*map(int, process.stdout.readline().split())]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_the_parts_of_processes_on_the_same_cores_are_disjoint_and_leave_no_core_idle(count: int) -> None:
    mine = [0, 1, 2, 3, 6, 7, 8, 9]
    names = [str(1000 + number) for number in range(count)]
    parts = [cores.part(mine, name, {other: mine for other in names if other != name}) for name in names]
    assert sorted(core for each in parts for core in each) == mine
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_more_processes_than_cores_take_one_each_in_turn() -> None:
    names = ["1", "2", "3"]
    parts = [cores.part([4, 5], name, {other: [4, 5] for other in names if other != name}) for name in names]
    assert parts == [[4], [5], [4]]


def test_whoever_is_confined_to_other_cores_takes_nothing_away() -> None:
    assert cores.part([0, 1], "7", {"8": [2, 3]}) == [0, 1]


@several
def test_processes_share_the_cores_and_get_them_back_however_the_other_ends(
    another: Callable[[], "subprocess.Popen[str]"],
) -> None:
    everything = sorted(os.sched_getaffinity(0))
    first = another()
    assert cores_of(first) == everything
    second = another()
    theirs = cores_of(second)
    assert theirs
    assert sorted(cores_of(first) + theirs) == everything
    second.kill()
    second.wait()
    assert cores_of(first) == everything


@several
def test_every_thread_moves_and_moves_back(another: Callable[[], "subprocess.Popen[str]"]) -> None:
    before = os.sched_getaffinity(0)
    leave, places = threading.Event(), []

    def elsewhere() -> None:
        leave.wait()
        places.append(os.sched_getaffinity(0))

    beside = another()
    cores_of(beside)
    worker = threading.Thread(target=elsewhere)
    worker.start()
    with cores.sharing(1):
        mine = os.sched_getaffinity(0)
        leave.set()
        worker.join()
    assert places == [mine]
    assert mine < before
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("threads", "others", "expected"),
    [
        (2, [], False),
        (2, [cores.Claim((0, 1), 2)], True),
        (1, [cores.Claim((0, 1), 2)], True),
        (1, [cores.Claim((0, 1), 1)], False),
        (1, [cores.Claim((0, 1), 1)] * 5, False),
        (2, [cores.Claim((2, 3), 2)], False),
    ],
)
def test_processes_take_turns_where_threads_would_wait_for_fellows_without_a_core(
    threads: int, others: list[cores.Claim], expected: bool
) -> None:
    assert cores.crowded(cores.Claim((0, 1), threads), others) is expected


TAKES_TURNS = """
import os, sys, time
from lossbench import cores
path, turn, rests = sys.argv[1:]
cores.LOOK_SECONDS, cores.TURN_SECONDS = 0, float(turn)
log = os.open(path, os.O_WRONLY | os.O_APPEND)
with cores.sharing(len(os.sched_getaffinity(0)) + 1) as neighbours:
    print(flush=True)
    sys.stdin.readline()
    for _ in range(100):
        neighbours.look()
        os.write(log, b"+")
        time.sleep(0.002)
        os.write(log, b"-%d." % os.getpid())
        if int(rests):
            neighbours.rest()
            time.sleep(0.002)
"""


def batches_of_two(log: Path, turn: float, rests: bool) -> list[str]:
    """Who trained each batch, from two processes that begin together and take turns."""
    log.touch()
    command = [sys.executable, "-c", TAKES_TURNS, str(log), str(turn), str(int(rests))]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
        assert process.returncode == 0
    told = log.read_text()
    assert "++" not in told
    assert told.count("+") == 200
    return re.findall(r"\d+", told)


def changes(who: list[str]) -> int:
    return sum(one != other for one, other in pairwise(who))


def test_processes_with_more_threads_than_cores_compute_one_after_the_other(tmp_path: Path) -> None:
    assert changes(batches_of_two(tmp_path / "log", 0.01, False)) > 3


def test_a_process_that_rests_lets_the_other_compute_although_its_turn_is_not_over(tmp_path: Path) -> None:
    assert changes(batches_of_two(tmp_path / "patient", 60, False)) == 1
    assert changes(batches_of_two(tmp_path / "resting", 60, True)) > 20


def test_without_a_place_to_meet_nothing_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    before = os.sched_getaffinity(0)
    with cores.sharing(1) as neighbours:
        neighbours.look()
        assert os.sched_getaffinity(0) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chosen", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_how_threads_wait_is_left_to_a_user_who_has_chosen(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(chosen, "7")
    cores.patiently()
    assert {name: os.environ[name] for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ} == {
        chosen: "7"
    }
