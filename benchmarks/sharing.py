"""How much work do several trainings get done on one machine? Runs side by side, and sweeps in several arrangements.

    python benchmarks/sharing.py --data-dir DIR > benchmarks/sharing.txt

Everything is the real command line in processes of its own. A round takes every arrangement in turn, and a ratio
compares within a round.

Side by side: epochs per second between the end of a run's first epoch and the end of its last, evaluation, metrics and
storing included, summed over the runs that train together. "unshared" is what two commands did to each other before
they shared the cores: all threads each, spinning while they wait as long as OpenMP's own default has it.

Sweeps: seconds of whole commands, start and measurements included. "naive" is one process per core with PyTorch's
default of as many threads as there are cores, waiting as by default.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

LOSSBENCH = (sys.executable, "-m", "lossbench")
QUERY = """
SELECT sum(rate) AS rate
FROM (
    SELECT (count(*) - 1) / epoch_ms(max(time) - min(time)) * 1000.0 AS rate
    FROM event WHERE kind = 'epoch' GROUP BY run_id
)
"""
SPINNING = {"GOMP_SPINCOUNT": "300000"}
"""What libgomp does where nobody has chosen."""

SWEEPS = {
    "digits-mlp": ("-s", "epochs=1200", "--seeds", "36"),
    "digits-cnn": ("--seeds", "16"),
    "cifar100-resnet20-mixing": ("-s", "epochs=2", "-s", "data.limit=2560", "--seeds", "6"),
}


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    return {**kept, "LOSSBENCH_HOME": str(home), **more}


def together(commands: Sequence[Sequence[str]], home: Path, **more: str) -> float:
    """Epochs per second of commands begun at the same moment."""
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
    return float(row["rate"])


def wall(command: Sequence[str], home: Path, **more: str) -> tuple[float, str]:
    """Seconds of a command, and what it said that it chose."""
    began = time.perf_counter()
    ended = subprocess.run(
        [*LOSSBENCH, *command], env=environment(home, **more), check=True, capture_output=True, text=True
    )
    taken = time.perf_counter() - began
    return taken, next(iter(re.findall(r"^.*first cells.*$", ended.stderr, re.MULTILINE)), "")


def spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def side_by_side(preset: str, fields: Sequence[str], asked: argparse.Namespace, cores: int) -> None:
    one, other = (["run", preset, *fields, "--seed", str(seed), *data_of(asked)] for seed in (0, 1))
    threads = ("--threads", str(cores))
    speeds: dict[str, list[float]] = {"one run": [], "two runs": [], "two runs unshared": []}
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            speeds["one run"].append(together([one], root / "a"))
            speeds["two runs"].append(together([one, other], root / "b"))
            unshared = [[*one, *threads], [*other, *threads]]
            speeds["two runs unshared"].append(together(unshared, root / "c", **SPINNING))
    print(f"\n{preset} {' '.join(fields)}, {asked.rounds} rounds")
    for name, rates in speeds.items():
        ratios = [rate / alone for rate, alone in zip(rates, speeds["one run"], strict=True)]
        print(f"{name:20} {spread(rates, 2):>26} epochs a second in all {spread(ratios, 2):>22} of one run", flush=True)


def sweeps(preset: str, fields: Sequence[str], asked: argparse.Namespace, cores: int) -> None:
    command = ["sweep", preset, *fields, *data_of(asked)]
    arrangements: dict[str, tuple[list[str], dict[str, str]]] = {
        "--jobs 1": ([], {}),
        "--jobs auto": (["--jobs", "auto"], {}),
        "naive": (["--jobs", str(cores), "--threads", str(cores)], SPINNING),
    }
    found: dict[str, list[float]] = {name: [] for name in arrangements}
    said: list[str] = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for number, (name, (options, more)) in enumerate(arrangements.items()):
                taken, words = wall([*command, *options], Path(folder) / str(number), **more)
                found[name].append(taken)
                said += [words] if words else []
    print(f"\nsweep {preset} {' '.join(fields)}, {asked.rounds} rounds")
    for name, taken in found.items():
        ratios = [each / best for each, best in zip(taken, found["--jobs auto"], strict=True)]
        print(f"{name:20} {spread(taken, 1):>26} s {spread(ratios, 2):>22} of --jobs auto")
    print(*dict.fromkeys(said), sep="\n", flush=True)


def data_of(asked: argparse.Namespace) -> list[str]:
    return ["--data-dir", str(asked.data_dir)] if asked.data_dir else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=("runs", "sweeps"), help="repeatable; by default both")
    parser.add_argument("--preset", action="append", choices=SWEEPS, help="of the sweeps; repeatable, by default all")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(
        f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, torch {version('torch')}; "
        "rounds in turn; median (range)"
    )
    parts = asked.part or ("runs", "sweeps")
    if "runs" in parts:
        side_by_side("digits-cnn", ("-s", "epochs=80"), asked, cores)
    for preset in (asked.preset or SWEEPS) if "sweeps" in parts else ():
        sweeps(preset, SWEEPS[preset], asked, cores)


if __name__ == "__main__":
    main()
