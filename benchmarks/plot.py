"""How long does `lossbench plot KIND` take, start-up included?

    python benchmarks/plot.py --runs 1000 --epochs 100

Fills a home with finished runs (5 losses, 10 seeds, as many presets as it takes), reads it once so that the journals
are in the store, then times whole processes. Prints one line of JSON per kind; results are kept in plot.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lossbench.events import EpochDone, EpochMetrics, PredictionsKept, RunEnded, RunStarted, new_run_id, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.plots import KINDS
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec, parse_loss

LOSSES = ("ce", "adaptive", "expectation", "focal:gamma=2", "ce-el:focus=0-0.5")
SEEDS = 10
ROWS = 500
METRICS = (
    "test/top1_acc",
    "test/nll",
    "test/ece15",
    "train/lr",
    "train/seconds",
    "train/samples_per_second",
    "loss/focus",
)


def fill(home: Home, runs: int, epochs: int) -> None:
    """Write the journal of that many runs with predictions."""
    random = np.random.default_rng(0)
    home.create()
    with Journal(home) as journal:
        for number in range(runs):
            cell, seed = divmod(number, SEEDS)
            block, loss = divmod(cell, len(LOSSES))
            preset = Preset(
                name=f"preset-{block:03d}",
                data=DataSpec(name="made-up"),
                model=ModelSpec(name="linear"),
                epochs=epochs,
                batch_size=100,
                optimizer=OptimizerSpec(name="sgd", lr=0.1 + block),
            )
            spec = RunSpec(preset=preset, loss=parse_loss(LOSSES[loss]), seed=seed, numbers_version=NUMBERS_VERSION)
            common = {"run_id": new_run_id(), "at": now()}
            journal.append(
                RunStarted(
                    **common,
                    key=spec.key,
                    recipe=spec.recipe,
                    spec=spec.resolved(),
                    from_epoch=0,
                    provenance={"device": "cpu"},
                )
            )
            curve = 0.7 - 0.5 * np.exp(-np.arange(epochs) / 20) + 0.002 * random.standard_normal(epochs) + 0.001 * loss
            for epoch, value in enumerate(curve, 1):
                values = dict.fromkeys(METRICS, 1.0) | {"test/top1_acc": float(value), "test/nll": 1 - float(value)}
                journal.append(EpochDone(**common, metrics=EpochMetrics(epoch=epoch, values=values)))
            p = random.random(ROWS).tolist()
            columns = {"label": [1] * ROWS, "predicted": [int(each > 0.3) for each in p], "rank": [0] * ROWS}
            journal.append(PredictionsKept(**common, epoch=epochs, split="test", p_true=p, p_max=p, **columns))
            journal.append(RunEnded(**common, status="done"))


def measure(kind: str, home: Home, repeats: int) -> dict[str, object]:
    """Wall time of whole processes, best and median of several."""
    extra = ["--field", "optimizer.lr"] if kind == "sweep" else []
    command = [sys.executable, "-m", "lossbench", "plot", kind, "--home", str(home.root), *extra]
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return {"kind": kind, "best_s": round(min(times), 3), "median_s": round(float(np.median(times)), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / ".lossbench")
        fill(home, options.runs, options.epochs)
        subprocess.run(
            [sys.executable, "-m", "lossbench", "plot", "--home", str(home.root)], check=True, capture_output=True
        )
        for kind in KINDS:
            print(json.dumps(measure(kind, home, options.repeats)), flush=True)


if __name__ == "__main__":
    main()
