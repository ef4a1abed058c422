"""What does an engine add to a cell? Sweeps of tiny cells in one process and on engines that have two lanes each.

    python benchmarks/engines.py > benchmarks/engines.txt

Whole commands in processes of their own, each on an empty home, with few and with many cells: what the further cells
take is the time per cell, and the rest is the start. Engines take turns within a round. What an engine adds to a cell
is the time of a lane for it less that of one process, of the same round. The Ray cluster is there before, with two node
processes; SLURM is submitit's executor for one machine, two elements at a time, each a whole `lossbench run`.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ray
import submitit
import torch
from ray.cluster_utils import Cluster

from lossbench import devices
from lossbench.executors.slurm import Element

CELL = ("digits-cnn", "-s", "epochs=1", "-s", "data.limit=64", "--device", "cpu", "--threads", "1", "--plain")
LANES = 2

Engine = Callable[[int], float]


def seconds_of(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def sweep(*options: str) -> Engine:
    """Seconds of a sweep of so many cells."""

    def run(cells: int) -> float:
        with tempfile.TemporaryDirectory() as home:
            asked = [*CELL, "-n", str(cells), *options, "--home", home]
            return seconds_of([sys.executable, "-m", "lossbench", "sweep", *asked])

    return run


def elements(cells: int) -> float:
    """Seconds of so many cells as elements of an array."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(LANES) as lanes:
        here = submitit.LocalExecutor(Path(folder) / "logs")
        here.update_parameters(timeout_min=5)

        def run(seed: int) -> None:
            asked = [*CELL, "--seed", str(seed), "--home", f"{folder}/home"]
            here.submit(Element([sys.executable, "-m", "lossbench", "run", *asked], Path(folder))).result()

        began = time.perf_counter()
        list(lanes.map(run, range(cells)))
        return time.perf_counter() - began


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--many", type=int, default=42)
    parser.add_argument("--elements", type=int, default=6, help="many, where each cell is a process")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, Ray {ray.__version__}"
    print(f"{devices.name_of(torch.device('cpu'))}, {len(os.sched_getaffinity(0))} cores, {versions}")
    print(f"{' '.join(CELL)}; median (range) of {asked.rounds} rounds\n")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(LANES):
        cluster.add_node(num_cpus=1)
    engines: dict[str, tuple[int, int, Engine]] = {
        "one process": (1, asked.many, sweep()),
        f"--jobs {LANES}": (LANES, asked.many, sweep("--jobs", str(LANES))),
        f"Ray, {LANES} nodes": (LANES, asked.many, sweep("--engine", "ray", "--address", cluster.address)),
        "SLURM's elements": (LANES, asked.elements, elements),
    }
    starts: dict[str, list[float]] = {name: [] for name in engines}
    each: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(asked.rounds):
        for name, (_, many, engine) in engines.items():
            few = engine(asked.few)
            starts[name].append(few)
            each[name].append(1000 * (engine(many) - few) / (many - asked.few))
    cluster.shutdown()
    print(f"{'engine':18}{f'{asked.few} cells, s':>20}{'each further cell, ms':>26}{'added to a cell, ms':>26}")
    alone = next(iter(each.values()))
    for name, (lanes, _, _) in engines.items():
        added = [lanes * mine - bare for mine, bare in zip(each[name], alone, strict=True)]
        last = spread(added, 0) if lanes > 1 else ""
        print(f"{name:18}{spread(starts[name], 1):>20}{spread(each[name], 0):>26}{last:>26}".rstrip())


if __name__ == "__main__":
    main()
