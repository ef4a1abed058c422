"""What does lossbench cost before it does anything?

    python benchmarks/startup.py --rounds 9 > benchmarks/startup.txt

Times whole processes, ours and the alternative in turn, and prints medians with the smallest and the largest:

- `lossbench --help` beside a bare Typer application with as many commands of two options each;
- `lossbench run digits-mlp` until it says that training has started, beside a process that only imports torch;
- `lossbench compare` and `lossbench plot curves` over a store of 1,000 runs, beside `lossbench --version`.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import typer
from made_up import fill
from plot import LOSSES

from lossbench.cli import app, load
from lossbench.home import Home

BARE = """
import typer
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
{commands}
app()
"""
COMMAND = """
@app.command("command-{number}")
def command_{number}(name: str = "a", count: int = 1) -> None:
    "Do thing number {number}."
"""


def whole(*command: str) -> Callable[[], float]:
    """Seconds until the process has ended."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began

    return once


def until(words: bytes, *command: str) -> Callable[[], float]:
    """Seconds until the process has written these words to stderr."""

    def once() -> float:
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if words in line:
                    taken = time.perf_counter() - began
                    process.stderr.read()
                    return taken
        raise SystemExit(f"{' '.join(command)} never said {words.decode()}")

    return once


def compared(title: str, ways: Mapping[str, Callable[[], float]], rounds: int) -> None:
    """Time each way once per round, the first round for nothing but warm caches."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, once in ways.items():
            seconds = once()
            if turn:
                taken[name].append(seconds)
    print(f"\n{title}")
    for name, found in taken.items():
        print(f"  {name:34} {statistics.median(found):6.3f} s  ({min(found):.3f} to {max(found):.3f}, n = {rounds})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=1000)
    rounds = parser.parse_args().rounds
    runs = parser.parse_args().runs
    lossbench = (sys.executable, "-m", "lossbench")
    print(f"{os.cpu_count()} cores {platform.machine()}, Linux, Python {platform.python_version()},", end=" ")
    print(", ".join(f"{name} {version(name)}" for name in ("typer", "torch", "duckdb", "plotext")))
    with tempfile.TemporaryDirectory() as folder:
        load()
        count = len(typer.main.get_command(app).commands)
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE.format(commands="".join(COMMAND.format(number=number) for number in range(count))))
        compared(
            f"help of {count} commands",
            {"bare Typer": whole(sys.executable, str(bare), "--help"), "lossbench --help": whole(*lossbench, "--help")},
            rounds,
        )
        train = ("run", "digits-mlp", "-s", "epochs=1", "--force", "--plain", "--home", f"{folder}/train")
        compared(
            "until the first step",
            {
                "import torch": until(
                    b"ready", sys.executable, "-c", "import sys, torch; print('ready', file=sys.stderr)"
                ),
                "lossbench run digits-mlp": until(b"started as", *lossbench, *train),
            },
            rounds,
        )
        home = Home(Path(folder) / "store")
        fill(home, runs, 100, LOSSES)
        read = ("--home", str(home.root))
        subprocess.run([*lossbench, "ls", *read], check=True, capture_output=True)
        compared(
            f"over {runs} runs of 100 epochs",
            {
                "lossbench --version": whole(*lossbench, "--version"),
                "lossbench compare preset-000": whole(*lossbench, "compare", "preset-000", *read),
                "lossbench compare": whole(*lossbench, "compare", *read),
                "lossbench plot curves preset-000": whole(*lossbench, "plot", "curves", "preset-000", *read),
                "lossbench plot curves": whole(*lossbench, "plot", "curves", *read),
            },
            rounds,
        )


if __name__ == "__main__":
    main()
