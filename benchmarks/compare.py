"""How long does `lossbench compare` take, start-up included?

    python benchmarks/compare.py --runs 10000 --epochs 200

Fills a home with runs of made-up numbers (10 losses, 10 seeds, as many presets as it takes), reads it once so that
the journals are in the store, then times whole processes. Prints one line of JSON; results are kept in compare.md.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
from made_up import fill

from lossbench.home import Home

LOSSES = ("ce", "adaptive", "expectation", "mae", "gce", "poly1", "sce", "bce", "focal:gamma=2", "ce-el:focus=0-0.5")


def timed(home: Home, *arguments: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "lossbench", "compare", *arguments, "--home", str(home.root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def spread(seconds: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="fill this folder and leave it there; a filled one is used again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home((options.keep or Path(folder)) / f"{options.runs}x{options.epochs}")
        if not home.root.exists():
            fill(home, options.runs, options.epochs, LOSSES)
        first = timed(home)
        result = {
            "runs": options.runs,
            "epochs": options.epochs,
            "first_seconds": round(first, 2),
            "repeats": options.repeats,
            "all_presets_seconds": spread([timed(home) for _ in range(options.repeats)]),
            "one_preset_seconds": spread([timed(home, "preset-000") for _ in range(options.repeats)]),
            "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
            "numpy": np.__version__,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
