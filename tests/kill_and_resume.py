"""Helper of test_survival: train in forked children, kill them at random moments, resume, and tell what was seen.

A process of its own because it forks: torch is imported once, no thread pool is ever started in the parent, and each
child costs milliseconds. Usage: kill_and_resume.py HOME KILLS SEED; prints what it saw as JSON.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from lossbench import losses
from lossbench.events import RunEnded
from lossbench.experiment import execute
from lossbench.home import Home
from lossbench.journal import journals, read
from lossbench.measures import SPEED
from lossbench.provenance import provenance
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.store import Store

EPOCHS = 30
CLOCKED = {f"train/{name}" for name in SPEED}


def spec(model: ModelSpec, data: str, loss: str, seed: int) -> RunSpec:
    preset = Preset(
        name="survival",
        data=DataSpec(name=data, limit=40),
        model=model,
        epochs=EPOCHS,
        batch_size=8,
        optimizer=OptimizerSpec(name="sgd", lr=0.02, momentum=0.9, schedule="cosine(1,0)"),
    )
    return RunSpec(preset=preset, loss=losses.resolve(loss), seed=seed, numbers_version=NUMBERS_VERSION)


NETWORK = [spec(ModelSpec(name="digits-cnn", dropout=0.2), "synthetic-images", "focal:gamma=learned(2)", 0)]
COHORT = [
    spec(ModelSpec(name="mlp", hidden=(8,)), "synthetic", loss, seed)
    for loss in ("ce", "adaptive", "focal:gamma=learned(2)")
    for seed in (0, 1)
]


def bodies(home: Home) -> list[dict]:
    """Every journalled event, journal by journal in the order they were begun."""
    attempts = [[line.body for line in read(path)] for path in journals(home)]
    return [
        body for told in sorted((each for each in attempts if each), key=lambda told: told[0]["at"]) for body in told
    ]


def rows(home: Home) -> list[tuple[str, int, str]]:
    """Key, epoch and the exact numbers of every epoch that was recorded, in the order of recording."""
    told = bodies(home)
    keys = {body["run_id"]: body["key"] for body in told if body["kind"] == "started"}
    return [
        (
            keys[body["run_id"]],
            body["epoch"],
            repr(sorted((name, value) for name, value in body["metrics"].items() if name not in CLOCKED)),
        )
        for body in told
        if body["kind"] == "epoch"
    ]


def again(home: Home) -> int:
    """The most epochs of one run that one kill had trained again.

    Epochs are in the journals in the order of recording, process after process.
    """
    most, reached = 0, {}
    for key, epoch, _ in rows(home):
        most = max(most, reached.get(key, 0) + 1 - epoch)
        reached[key] = epoch
    return most


def fork_and_train(cells: list[RunSpec], home: Home) -> int:
    """Start a child that trains the cells that are not done, going on with the runs it finds; gives its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        torch.set_num_threads(1)
        told = bodies(home)
        known = {body["key"]: body["run_id"] for body in told if body["kind"] == "started"}
        done = {body["run_id"] for body in told if body["kind"] == "ended" and body["status"] == "done"}
        left = [cell for cell in cells if known.get(cell.key) not in done]
        if not left:
            os._exit(0)
        run_ids = [known.get(cell.key) for cell in left]
        events = execute(left, home, data_folder=Path("/nonexistent"), device="cpu", run_ids=run_ids, threads=1)
        assert all(event.status == "done" for event in events if isinstance(event, RunEnded))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def shaken(cells: list[RunSpec], home: Home, chance: random.Random) -> int:
    """Train to the end through as many kills as it takes; gives their number."""
    kills = 0
    while True:
        # Killed after some events more, and a moment later, wherever that is.
        enough = written(home) + chance.randrange(0, 12 * len(cells))
        moment = chance.uniform(0, 0.01)
        pid = fork_and_train(cells, home)
        while written(home) < enough and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "a child failed; its traceback is above"
            return kills
        kills += 1


def written(home: Home) -> int:
    """Lines in all journals."""
    return sum(path.read_bytes().count(b"\n") for path in journals(home))


def main() -> None:
    root, wanted, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    # What is slow to import once or to look up once is done before the first fork.
    torch.optim.SGD([torch.zeros(1)])
    provenance(torch.device("cpu"))
    seen = []
    for name, cells in (("network", NETWORK), ("cohort", COHORT)):
        calm = Home(root / name / "calm")
        _, status = os.waitpid(fork_and_train(cells, calm), 0)
        assert status == 0
        kills = 0
        while kills < wanted:
            home = Home(root / name / f"after-{kills}")
            kills += shaken(cells, home, chance)
            ended = [body["status"] for body in bodies(home) if body["kind"] == "ended"]
            runs = {body["run_id"] for body in bodies(home)}
            with Store.open(home):
                pass  # the next command, which finishes what was killed
            left = [path.name for path in home.checkpoints.iterdir() if path.name != "claims.lock"]
            seen.append(
                {
                    "name": name,
                    "kills": kills,
                    "expected": rows(calm),
                    "found": rows(home),
                    "ended": ended,
                    "runs": len(runs),
                    "cells": len(cells),
                    "left": left,
                    "again": again(home),
                }
            )
    print(json.dumps(seen))


main()
