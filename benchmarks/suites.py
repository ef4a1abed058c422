"""What does each suite cost, and how long does it take on 1, 8, 64 and 512 devices?

    python benchmarks/suites.py > benchmarks/suites.txt

Counts come from the presets: operations (matrix products and convolutions, forward and back) and training pictures.
Seconds of a run are its operations by a rate: for a GPU an assumed one, for this machine's CPU the median of those that
steps of each network reach on random rows of the right shape, in single precision; all networks take a step, then all
take the next one. The runs of a suite are given to devices longest first, each to the one that is free first, as the
executors do within a seed; the last one's end is the suite's. The store takes in every value of every epoch at the
rate that scale.txt shows.
"""

import argparse
import dataclasses
import heapq
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from lossbench import costs, data, devices, losses, models, suites, sweep
from lossbench.spec import DataSpec, ModelSpec, Preset, parse_loss

DEVICES = (1, 8, 64, 512)
ROWS = 16
"""In a timed step."""

VALUES = 39
"""That an epoch of training, validation and test stores."""

Shape = tuple[ModelSpec, tuple[int, ...], int, bool]
"""What a step's time depends on, besides the rows in it."""


@dataclass(frozen=True)
class Counted:
    """What one preset asks for in one epoch."""

    operations: int
    rows: int
    shape: Shape


def shape_of(preset: Preset) -> Shape:
    source = data.get(preset.data.name)
    network = dataclasses.replace(preset.model, pretrained="")
    sizes = tuple(size or 10_000 for size in source.shape)
    return network, sizes, len(preset.data.classes) or source.classes, preset.channels_last


def step_of(shape: Shape, tokens: bool) -> Callable[[], float]:
    """A training step of a network on random rows, which gives its seconds."""
    spec, sizes, classes, channels_last = shape
    network = models.build(spec, sizes, classes, seed=0)
    batch = torch.randint(1, 1000, (ROWS, sizes[0])) if tokens else torch.randn(ROWS, *sizes)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if batch.ndim == 4:
        network, batch = network.to(memory_format=layout), batch.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    target = torch.randint(classes, (ROWS,))

    def step() -> float:
        began = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(batch), target).backward()
        optimizer.step()
        return time.perf_counter() - began

    return step


def timed(tokens: Mapping[Shape, bool], rounds: int) -> dict[Shape, list[float]]:
    """Seconds of a step of each network in every round; one before is not counted."""
    steps = {shape: step_of(shape, each) for shape, each in tokens.items()}
    for step in steps.values():
        step()
    found: dict[Shape, list[float]] = {shape: [] for shape in steps}
    for _ in range(rounds):
        for shape, step in steps.items():
            found[shape].append(step())
    return found


def makespan(lengths: Sequence[float], count: int) -> float:
    """When the last run ends, each given to the device that is free first, longest first."""
    free = [0.0] * count
    for length in sorted(lengths, reverse=True):
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def span(seconds: float) -> str:
    for size, unit in ((365.25 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=158e12, help="assumed operations per second of a GPU")
    parser.add_argument("--ingest", type=float, default=160e3, help="values that the store takes in per second")
    parser.add_argument("--rounds", type=int, default=3, help="steps of each network after the first")
    parser.add_argument("--suite", action="append", help="repeatable; all by default")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    name = devices.name_of(torch.device("cpu"))
    print(f"{name}, {cores} cores, Python {platform.python_version()}, torch {torch.__version__}")
    print(f"GPU: {asked.rate:.3g} operations a second, an assumption; CPU: median of {asked.rounds} rounds\n")
    counted: dict[Preset, Counted] = {}
    estimated: dict[tuple[DataSpec, ModelSpec], costs.Costs] = {}
    plans: dict[str, list[tuple[Preset, int]]] = {}
    for suite_name in asked.suite or suites.available():
        suite = suites.load(suite_name)
        passes = [len(losses.find(parse_loss(text)).steps) for text in suite.losses]
        chosen = list(sweep.expand(suite.presets, (), suite.grid))
        plans[suite_name] = [
            (preset, steps) for preset in chosen for steps in passes for _ in sweep.parse_seeds(suite.seeds)
        ]
        for preset in chosen:
            same = (preset.data, preset.model)
            estimated[same] = estimated.get(same) or costs.estimate(preset)
            counted[preset] = Counted(estimated[same].flops, estimated[same].training_rows, shape_of(preset))
    tokens = {each.shape: data.get(preset.data.name).kind == "tokens" for preset, each in counted.items()}
    seconds = timed(tokens, asked.rounds)
    rates = {
        preset: each.operations / each.rows * ROWS / statistics.median(seconds[each.shape])
        for preset, each in counted.items()
    }
    heads = "".join(f"{f'{count} GPU' + 's' * (count > 1):>10}" for count in DEVICES)
    print(
        f"{'suite':24}{'runs':>6}{'epochs':>10}{'operations':>12}{'rows seen':>11}{'GPU-hours':>10}{heads}"
        f"{'store, s':>10}{'CPU GFLOP/s':>14}{'CPU':>10}"
    )
    for suite_name, cells in plans.items():
        operations = [counted[preset].operations * preset.epochs * steps for preset, steps in cells]
        rows = sum(counted[preset].rows * preset.epochs for preset, _ in cells)
        epochs = sum(preset.epochs for preset, _ in cells)
        lengths = [each / asked.rate for each in operations]
        spans = "".join(f"{span(makespan(lengths, count)):>10}" for count in DEVICES)
        reached = [rates[preset] for preset, _ in cells]
        cpu = sum(each / rate for each, rate in zip(operations, reached, strict=True))
        print(
            f"{suite_name:24}{len(cells):6,}{epochs:10,}{sum(operations):12.3g}{rows:11.3g}{sum(lengths) / 3600:10.2f}"
            f"{spans}{epochs * VALUES / asked.ingest:10.1f}"
            f"{f'{min(reached) / 1e9:.0f} to {max(reached) / 1e9:.0f}':>14}{span(cpu):>10}",
            flush=True,
        )
    print("\nsteps: measured on this CPU, median (range), and what the assumption makes of them on a GPU")
    print(f"{'network':24}{'data':20}{'batch':>6}{'operations a row':>18}{'CPU step, s':>26}{'GPU step, ms':>14}")
    networks: dict[tuple[str, str], Preset] = {}
    for preset in counted:
        networks.setdefault((preset.model.name, preset.data.name), preset)
    for (network, dataset), preset in networks.items():
        if dataset.startswith("uci-"):
            continue
        each = counted[preset]
        row, batch = each.operations / each.rows, preset.batch_size
        times = [batch / ROWS * step for step in seconds[each.shape]]
        cpu_step = f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
        print(f"{network:24}{dataset:20}{batch:6}{row:18.3g}{cpu_step:>26}{1000 * batch * row / asked.rate:14.3f}")


if __name__ == "__main__":
    main()
