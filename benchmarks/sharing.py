"""How much work do several trainings get done on one machine? Runs side by side, and sweeps in several arrangements.

    python benchmarks/sharing.py --rounds 3 > benchmarks/sharing.txt

Everything is the real command line in processes of its own. Throughput is what runs record of each epoch, training
only, summed over the runs that train together; the first epoch is left out, as it holds the start. "unshared" is what
two commands did to each other before they shared the cores: all threads each, spinning while they wait. A round takes
every arrangement in turn, and a ratio compares within a round.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

LOSSBENCH = (sys.executable, "-m", "lossbench")
QUERY = """
SELECT sum(speed) AS speed
FROM (SELECT avg(value) AS speed FROM metric WHERE name = 'samples_per_second' AND epoch > 1 GROUP BY run_id)
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    return {**kept, "LOSSBENCH_HOME": str(home), **more}


def together(commands: Sequence[Sequence[str]], home: Path, **more: str) -> float:
    """Images per second of commands begun at the same moment."""
    running = [
        subprocess.Popen(
            [*LOSSBENCH, *command], env=environment(home, **more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    for process in running:
        assert process.wait() == 0
    told = subprocess.run(
        [*LOSSBENCH, "sql", QUERY, "--format", "json"], env=environment(home), capture_output=True, check=True
    )
    (row,) = json.loads(told.stdout)["rows"]
    return float(row["speed"])


def wall(command: Sequence[str], home: Path) -> float:
    began = time.perf_counter()
    subprocess.run([*LOSSBENCH, *command], env=environment(home), check=True, capture_output=True)
    return time.perf_counter() - began


def spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="digits-cnn")
    parser.add_argument("--set", action="append", default=["epochs=8"], help="a field of the preset; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    fields = [word for each in asked.set for word in ("-s", each)]
    one, other = ([asked.preset, *fields, "--seed", str(seed)] for seed in (0, 1))
    threads = ("--threads", str(cores))
    sweep = ["sweep", asked.preset, *fields, "--seeds", "4"]
    speeds: dict[str, list[float]] = {"one run": [], "two runs": [], "two runs unshared": []}
    walls: dict[str, list[float]] = {"1": [], "auto": [], str(cores): []}
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            speeds["one run"].append(together([["run", *one]], root / "a"))
            speeds["two runs"].append(together([["run", *one], ["run", *other]], root / "b"))
            unshared = [["run", *one, *threads], ["run", *other, *threads]]
            speeds["two runs unshared"].append(together(unshared, root / "c", OMP_WAIT_POLICY="ACTIVE"))
            for jobs, taken in walls.items():
                options = ("--jobs", jobs, *(threads if jobs == str(cores) else ()))
                taken.append(wall([*sweep, *options], root / f"jobs{jobs}"))
    print(
        f"{platform.machine()}, {cores} cores, Python {platform.python_version()}; "
        f"{asked.preset}, {' '.join(asked.set)}"
    )
    print(f"{asked.rounds} rounds in turn; median (range)\n")
    for name, rates in speeds.items():
        ratios = [rate / alone for rate, alone in zip(rates, speeds["one run"], strict=True)]
        print(f"{name:20} {spread(rates, 0):>26} images a second in all {spread(ratios, 2):>22} of one run")
    for jobs, taken in walls.items():
        label = f"sweep of 4, --jobs {jobs}" + (f" --threads {cores}" if jobs == str(cores) else "")
        print(f"{label:36} {spread(taken, 1):>22} s")


if __name__ == "__main__":
    main()
