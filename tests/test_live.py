"""The live screen: true at any size, and of any state a run can be in."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lossbench import processes
from lossbench.events import EpochDone, EpochMetrics, Event, RunEnded, RunStarted, Status
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.live import Told, Watched, frame, sparkline
from lossbench.live.stored import look
from lossbench.presets import load
from lossbench.spec import RunSpec, parse_loss
from lossbench.store import Selection

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(seconds=100)


def write(
    home: Home,
    run_id: str,
    loss: str,
    *,
    epochs: int,
    ended: Status | None,
    process: Mapping[str, object] | None = None,
    heard: Told | None = None,
) -> None:
    """Journal a run of three seconds per epoch, and tell it to `heard`."""
    spec = RunSpec(preset=load("digits-mlp"), loss=parse_loss(loss), seed=0, numbers_version=1)
    times = [(START + timedelta(seconds=3 * epoch)).isoformat() for epoch in range(epochs + 1)]
    begun = RunStarted(
        run_id=run_id,
        at=times[0],
        key=spec.key,
        recipe=spec.recipe,
        spec=spec.resolved(),
        from_epoch=0,
        provenance={**processes.identity(), "device": "cpu", **(process or {})},
    )
    events: list[Event] = [begun]
    for epoch, at in enumerate(times[1:], 1):
        values = {"test/top1_acc": 0.5 + epoch / 100, "train/peak_mem_mib": 310.0}
        events.append(EpochDone(run_id=run_id, at=at, metrics=EpochMetrics(epoch=epoch, values=values)))
    if ended:
        events.append(RunEnded(run_id=run_id, at=times[-1], status=ended))
    with Journal(home) as journal:
        for event in events:
            journal.append(event)
            if heard is not None:
                heard.take(event)


@pytest.fixture
def watched(home: Home) -> Watched:
    write(home, "run000done", "ce", epochs=30, ended="done")
    write(home, "run00going", "adaptive", epochs=10, ended=None)
    write(home, "run00nanan", "focal:gamma=5", epochs=2, ended="diverged")
    write(home, "run000lost", "ce-el:focus=0-0.5", epochs=4, ended=None, process={"pid": 2**22 + 1, "pid_started": 1})
    return look(home, Selection(), at=NOW, most=50)


def test_what_runs_comes_first_and_every_state_is_counted(watched: Watched) -> None:
    assert [live.status for live in watched.runs] == ["running", "lost", "diverged", "done"]
    text = frame(watched, width=160, height=20, color=False)
    assert text.startswith("00:01:40 UTC  1 running  1 lost  1 diverged  1 done")


def test_a_long_preset_is_cut_before_its_column_goes(watched: Watched) -> None:
    long = replace(watched, runs=tuple(replace(run, preset="cifar100-resnext29-2x64d-mixing") for run in watched.runs))
    wide, narrow = (frame(long, width=width, height=20, color=False) for width in (90, 60))
    assert "cifar100-resnex" in wide
    assert "cifar100" not in narrow


@pytest.mark.parametrize("width", [40, 120])
def test_the_load_of_the_machine_stands_below_the_runs(watched: Watched, width: int) -> None:
    busy = replace(watched, usage="cpu 93 % of 16 cores  gpu 0 87 % 12.4 of 79.6 GiB")
    lines = frame(busy, width=width, height=20, color=False).splitlines()
    assert max(map(len, lines)) <= width
    assert "12.4 of 79.6 GiB" in " ".join(lines[-2:])


def test_a_running_run_shows_progress_best_and_time_left(watched: Watched) -> None:
    going = watched.runs[0]
    line = next(line for line in frame(watched, width=160, height=20, color=False).splitlines() if "adaptive" in line)
    assert going.seconds_left == pytest.approx(60)
    assert "███░░░░░░░ 10/30" in line
    assert "60.00 %" in line
    assert "80.00 %" in line
    assert line.split()[-5:] == ["1:00", "1:10", "cpu", "310", "MiB"]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 8, 24])
def test_no_screen_is_overflown(watched: Watched, width: int, height: int) -> None:
    lines = frame(watched, width=width, height=height, color=False).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= max(width, 38)


def test_colour_changes_nothing_but_colour(watched: Watched) -> None:
    coloured = frame(watched, width=80, height=24, color=True)
    assert "\x1b[38;5;160m" in coloured
    assert [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()] == [
        line.rstrip() for line in frame(watched, width=80, height=24, color=False).splitlines()
    ]


def test_runs_beyond_the_screen_are_counted(watched: Watched) -> None:
    assert "and 3 more" in frame(watched, width=80, height=5, color=False)


def test_an_empty_store_is_watched_too(home: Home) -> None:
    assert "no runs yet" in frame(look(home, Selection(), at=NOW, most=5), width=80, height=24, color=False)


@pytest.mark.parametrize(
    ("values", "line"), [((), ""), ((1.0,), "▁"), ((0.0, 1.0), "▁█"), ((1.0, float("nan"), 3.0, 2.0), "▁·█▅")]
)
def test_sparklines(values: tuple[float, ...], line: str) -> None:
    assert sparkline(values) == line


def test_a_terminal_is_left_as_it_was_found(home: Home, watched: Watched) -> None:
    """In a real terminal: drawn on the alternate buffer; Ctrl-C brings the old one and the cursor back."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "lossbench", "watch", "--home", str(home.root), "--interval", "0.2"]
    process = subprocess.Popen(
        command, stdin=child, stdout=child, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    )
    os.close(child)
    seen, deadline = b"", time.monotonic() + 120
    while b"adaptive" not in seen and time.monotonic() < deadline:
        if select.select([parent], [], [], 0.2)[0]:
            seen += os.read(parent, 65536)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            seen += os.read(parent, 65536)
        except OSError:
            break
    _, errors = process.communicate(timeout=30)
    os.close(parent)
    assert process.returncode == 130
    assert errors == b""
    assert seen.index(b"\x1b[?1049h") < seen.index(b"adaptive") < seen.rindex(b"\x1b[?1049l")
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")


def test_events_tell_the_same_as_the_store(home: Home) -> None:
    """What `run` shows of its own runs is what `watch` shows of them."""
    heard = Told(planned=3)
    write(home, "run000done", "ce", epochs=30, ended="done", heard=heard)
    write(home, "run00going", "adaptive", epochs=10, ended=None, heard=heard)
    told = heard.watched(at=NOW)
    (going,) = told.runs
    stored = look(home, Selection(statuses=("running",)), at=NOW, most=5).runs[0]
    assert going == stored
    assert dict(told.counts) == {"running": 1, "done": 1, "to come": 1}


def test_a_resumed_run_is_timed_by_the_epochs_of_this_process() -> None:
    heard = Told(planned=1)
    spec = RunSpec(preset=load("digits-mlp"), loss=parse_loss("ce"), seed=0, numbers_version=1)
    common = {"run_id": "resumed", "key": spec.key, "recipe": spec.recipe, "spec": spec.resolved(), "provenance": {}}
    heard.take(RunStarted(**common, at=START.isoformat(), from_epoch=20))
    assert heard.watched(at=NOW).runs[0].seconds_left is None
    at = (START + timedelta(seconds=10)).isoformat()
    heard.take(EpochDone(run_id="resumed", at=at, metrics=EpochMetrics(epoch=25, values={"test/top1_acc": 0.5})))
    assert heard.watched(at=NOW).runs[0].seconds_left == pytest.approx(10)
