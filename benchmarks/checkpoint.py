"""What do checkpoints cost an epoch, and how many recorded epochs does `kill -9` make a run train again?

python benchmarks/checkpoint.py [ROUNDS] [KILLS]
"""

import os
import platform
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

from lossbench import checkpoint, experiment, losses
from lossbench.events import EpochDone
from lossbench.experiment import execute
from lossbench.home import Home
from lossbench.journal import journals, read
from lossbench.presets import load
from lossbench.spec import NUMBERS_VERSION, RunSpec

LOSSES = ("ce", "adaptive", "expectation", "focal", "gce", "poly1")
PROGRAMS = (("iris-linear", 1), ("digits-mlp", 1), ("digits-cnn", 1), ("wine-linear", 36), ("breast-cancer-mlp", 36))


def cells(preset: str, runs: int) -> list[RunSpec]:
    """One run, or a cohort of six losses by as many seeds as it takes, that would train for ever."""
    endless = load(preset, ["epochs=1000000"])
    pairs = [(loss, seed) for seed in range(-(-runs // len(LOSSES))) for loss in LOSSES][:runs]
    return [
        RunSpec(preset=endless, loss=losses.resolve(loss), seed=seed, numbers_version=NUMBERS_VERSION)
        for loss, seed in pairs
    ]


def seconds_per_epoch(
    asked: Sequence[RunSpec], home: Home, saving: bool, seconds: float = 1.5
) -> tuple[float, list[float]]:
    """Mean time between two epochs of all members, the first of them not counted, and how long each was saved for."""
    save = experiment._Execution._save
    waits: list[float] = []

    def timed(self: Any, state: dict[str, Any]) -> None:
        began = time.perf_counter()
        if saving:
            save(self, state)
        waits.append(time.perf_counter() - began)

    experiment._Execution._save = timed
    try:
        stamps = [time.perf_counter()]
        told = 0
        training = execute(asked, home, data_folder=home.root, device="cpu", threads=1)
        for event in training:
            told += isinstance(event, EpochDone)
            if told == len(asked):
                told = 0
                stamps.append(time.perf_counter())
                if len(stamps) > 5 and stamps[-1] - stamps[2] > seconds:
                    break
        training.close()
    finally:
        experiment._Execution._save = save
    return (stamps[-1] - stamps[2]) / (len(stamps) - 3), waits[1:]


def trained_again(asked: Sequence[RunSpec], home: Home) -> int:
    """Epochs that are in the journal of a killed process but not in its checkpoint."""
    child = os.fork()
    if child == 0:
        for _ in execute(asked, home, data_folder=home.root, device="cpu", threads=1):
            pass
        os._exit(0)
    while not list(home.checkpoints.glob("*.pt")):
        time.sleep(0.01)
    time.sleep(random.uniform(0.1, 0.4))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (path,) = journals(home)
    told = [line.body for line in read(path)]
    run_id = told[0]["run_id"]
    resumed = checkpoint.load(home, run_id, asked[0])
    assert resumed is not None
    return max(body["epoch"] for body in told if body["kind"] == "epoch" and body["run_id"] == run_id) - resumed.epoch


def main(rounds: int = 3, kills: int = 12) -> None:
    torch.set_num_threads(1)
    random.seed(0)
    print(
        f"torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, {rounds} rounds, {kills} kills each"
    )
    print(
        f"{'program':24s} {'epoch, no checkpoint':>22s} {'with':>8s} {'saving: median, 99th percentile':>34s}"
        f" {'again after kill -9: median, most':>36s}"
    )
    for preset, runs in PROGRAMS:
        asked = cells(preset, runs)
        took: dict[bool, list[float]] = {False: [], True: []}
        waits: list[float] = []
        again = []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(rounds):
                for saving in (False, True):
                    home = Home(Path(folder) / "timed")
                    mean, waited = seconds_per_epoch(asked, home, saving)
                    took[saving].append(mean)
                    waits += waited if saving else []
                    shutil.rmtree(home.root)
            for number in range(kills):
                again.append(trained_again(asked, Home(Path(folder) / f"killed-{number}")))
        plain, saved = (1000 * statistics.median(took[saving]) for saving in (False, True))
        name = f"{preset} x {runs}"
        share = f"{100 * (saved / plain - 1):+.0f} %"
        half, most = (1000 * numpy.percentile(waits, part) for part in (50, 99))
        print(
            f"{name:24s} {plain:19.2f} ms {share:>8s} {half:>23.2f}, {most:6.2f} ms"
            f" {statistics.median(again):>28.1f}, {max(again):5d}",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
