"""What happens to the store, and to whatever reads it, when there are 100,000 runs?

    python benchmarks/scale.py /tmp/scale --to 100000 > benchmarks/scale.txt

Writes journals as trainings do, one for each run, with made-up numbers that are random in all their bits: 10 losses,
10 seeds, as many presets as it takes. The store takes them in as they come, some thousands at a time; each line says
how long that took and how large it has become. Then whole commands are timed in processes of their own, in turn. A
home that has some runs already is added to, so that it can be done in portions: `--to 50000 --repeats 0` first.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing import Process
from pathlib import Path

import duckdb
from made_up import fill

from lossbench import journal
from lossbench.home import Home
from lossbench.measures import MEASURES, SPEED
from lossbench.store import Store

LOSSES = ("ce", "adaptive", "expectation", "mae", "gce", "poly1", "sce", "bce", "focal:gamma=2", "ce-el:focus=0-0.5")
TOLD = ("top1_acc", "nll")  # with a course of their own
JUDGED = [name for name in MEASURES if name not in (*SPEED, *TOLD, "objective", "lr")]
NOISE = [f"train/{name}" for name in SPEED] + [f"test/{name}" for name in JUDGED]
MIB = 2**20

QUESTIONS = (
    ("ls", "--limit", "20"),
    ("ls", "--format", "ids"),
    ("compare", "preset-000"),
    ("compare",),
    ("plot", "curves", "preset-000"),
    ("plot", "forest", "preset-000"),
    ("plot", "throughput", "preset-000"),
    ("sql", "SELECT count(*) FROM metric"),
    ("store", "info"),
)


def runs_in(home: Home) -> int:
    with Store.open(home) as store:
        ((count,),) = store.rows("SELECT count(*) FROM started")
    return int(count)


def grow(home: Home, first: int, runs: int, epochs: int, metrics: int) -> None:
    """Add so many runs to the first ones, take them in, and say what that took."""
    began = time.perf_counter()
    for number in range(first, first + runs):
        fill(home, 1, epochs, LOSSES, noise=NOISE[: metrics - 3], first=number)
    written = time.perf_counter() - began
    began = time.perf_counter()
    with Store.open(home) as store:
        taken = time.perf_counter() - began
        ((values,),) = store.rows("SELECT count(*) FROM metric")
    began = time.perf_counter()
    with Store.open(home):
        opened = time.perf_counter() - began
    size, told = home.store.stat().st_size, sum(journal.sizes(home).values())
    print(
        f"{first + runs:8,} {values:13,} {written:9.0f} {taken:9.1f} {runs * epochs * metrics / taken:10,.0f} "
        f"{1000 * opened:9.0f} {size / MIB:9.0f} {size / values:10.1f} {told / MIB:9.0f}",
        flush=True,
    )


def asked(home: Home, question: Sequence[str]) -> tuple[float, float]:
    """Seconds and most memory in MiB of one command."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "lossbench", *question, "--home", str(home.root)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, question
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=int, default=100_000, help="how many runs there are to be")
    parser.add_argument("--step", type=int, default=5000, help="how many are taken in at a time")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    home = Home(options.folder / f"{options.epochs}x{options.metrics}")
    home.create()
    machine = f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    print(f"{machine}, Python {platform.python_version()}, DuckDB {duckdb.__version__}")
    print(
        f"{options.epochs} epochs, {options.metrics} metrics, a journal for each run, {options.step} runs at a time\n"
    )
    print(
        f"{'runs':>8} {'values':>13} {'write s':>9} {'ingest s':>9} {'values/s':>10} {'open ms':>9} {'store MiB':>9} "
        f"{'bytes each':>10} {'journals':>9}"
    )
    while (there := runs_in(home)) < options.to:
        # In a process of its own: whatever this one held, the commands below would seem to hold too.
        runs = min(options.to - there, options.step)
        growth = Process(target=grow, args=(home, there, runs, options.epochs, options.metrics))
        growth.start()
        growth.join()
        assert growth.exitcode == 0
    if not options.repeats:
        return
    found: dict[Sequence[str], list[tuple[float, float]]] = {question: [] for question in QUESTIONS}
    for _ in range(options.repeats):
        for question, answers in found.items():
            answers.append(asked(home, question))
    print(f"\n{'lossbench ...':36}{f'seconds, median of {options.repeats} (range)':>32}{'memory MiB':>12}")
    for question, answers in found.items():
        times, sizes = zip(*answers, strict=True)
        seconds = f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
        print(f"{' '.join(question):36}{seconds:>32}{max(sizes):12.0f}")


if __name__ == "__main__":
    main()
