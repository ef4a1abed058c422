"""How long does `lossbench plot KIND` take, start-up included?

    python benchmarks/plot.py --runs 1000 --epochs 100

Fills a home with finished runs (5 losses, 10 seeds, as many presets as it takes), reads it once so that the journals
are in the store, then times whole processes. Prints one line of JSON per kind; results are kept in plot.md.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from made_up import fill

from lossbench.home import Home
from lossbench.plots import KINDS

LOSSES = ("ce", "adaptive", "expectation", "focal:gamma=2", "ce-el:focus=0-0.5")
ROWS = 500
METRICS = (
    "test/ece15",
    "train/lr",
    "train/seconds",
    "train/samples_per_second",
    "loss/focus",
)


def measure(kind: str, home: Home, repeats: int) -> dict[str, object]:
    """Wall time and processor time of whole processes, best and median of several."""
    extra = ["--field", "optimizer.lr"] if kind == "sweep" else []
    command = [sys.executable, "-m", "lossbench", "plot", kind, "--home", str(home.root), *extra]
    walls, cpus = [], []
    for _ in range(repeats):
        began, busy = time.perf_counter(), _busy()
        subprocess.run(command, check=True, capture_output=True)
        walls.append(time.perf_counter() - began)
        cpus.append(_busy() - busy)
    found = {"best_s": min(walls), "median_s": float(np.median(walls)), "best_cpu_s": min(cpus)}
    return {"kind": kind, **{name: round(value, 3) for name, value in found.items()}}


def _busy() -> float:
    """Processor seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / ".lossbench")
        fill(home, options.runs, options.epochs, LOSSES, METRICS, ROWS)
        subprocess.run(
            [sys.executable, "-m", "lossbench", "plot", "--home", str(home.root)], check=True, capture_output=True
        )
        # Of losses, not of runs; it asks the store nothing.
        for kind in (*KINDS, "gradient"):
            print(json.dumps(measure(kind, home, options.repeats)), flush=True)


if __name__ == "__main__":
    main()
