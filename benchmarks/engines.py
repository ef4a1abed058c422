"""What does an engine add to a cell? Sweeps of tiny cells on Ray, on worker processes and in one process.

    python benchmarks/engines.py > benchmarks/engines.txt

Whole commands in processes of their own, each on an empty home, with few and with many cells: what the further cells
take is the time per cell, and the rest is the start. Ray's cluster is one that the command starts on this machine.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ENGINES = {"one process": (), "2 workers": ("--jobs", "2"), "Ray": ("--engine", "ray")}
CELL = ("digits-cnn", "-s", "epochs=1", "-s", "data.limit=64", "--device", "cpu", "--threads", "1", "--plain")


def sweep(cells: int, options: tuple[str, ...]) -> float:
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        command = [sys.executable, "-m", "lossbench", "sweep", *CELL, "-n", str(cells), *options, "--home", home]
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--many", type=int, default=42)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}; {' '.join(CELL)}")
    print(f"{asked.rounds} rounds in turn, medians\n")
    print(f"{'engine':14}{f'{asked.few} cells':>12}{f'{asked.many} cells':>12}{'each further cell':>20}")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ENGINES}
    for _ in range(asked.rounds):
        for name, options in ENGINES.items():
            found[name].append((sweep(asked.few, options), sweep(asked.many, options)))
    for name, pairs in found.items():
        few, many = (statistics.median(times) for times in zip(*pairs, strict=True))
        each = (many - few) / (asked.many - asked.few)
        print(f"{name:14}{few:10.1f} s{many:10.1f} s{1000 * each:17.0f} ms")


if __name__ == "__main__":
    main()
