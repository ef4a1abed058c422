"""What does each suite cost, and how long does it take on 1, 8, 64 and 512 devices?

    python benchmarks/suites.py > benchmarks/suites.txt

Counts come from the presets: operations (matrix products and convolutions, forward and back) and training pictures.
Seconds of a run are its operations by a rate: for a GPU an assumed one, for this machine's CPU the one that steps of
each network reach on random rows of the right shape, in single precision. The runs of a suite are given to devices
longest first, each to the one that is free first, as the executors do within a seed; the last one's end is the suite's.
"""

import argparse
import dataclasses
import heapq
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lossbench import costs, data, devices, losses, models, suites, sweep
from lossbench.spec import Preset, parse_loss

DEVICES = (1, 8, 64, 512)
ROWS = 16
"""In a timed step."""


@dataclass(frozen=True)
class Counted:
    """What one preset asks for in one epoch, and how fast this machine's CPU does it."""

    operations: int
    rows: int
    cpu_rate: float
    """Operations per second."""


def cpu_rate(preset: Preset, operations_per_row: float, steps: int) -> float:
    """Operations per second that training steps of a preset's network reach here."""
    source = data.get(preset.data.name)
    shape = tuple(size or 10_000 for size in source.shape)
    classes = len(preset.data.classes) or source.classes
    network = models.build(dataclasses.replace(preset.model, pretrained=""), shape, classes, seed=0)
    tokens = source.kind == "tokens"
    batch = torch.randint(1, 1000, (ROWS, shape[0])) if tokens else torch.randn(ROWS, *shape)
    layout = torch.channels_last if preset.channels_last else torch.contiguous_format
    if batch.ndim == 4:
        network, batch = network.to(memory_format=layout), batch.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    target = torch.randint(classes, (ROWS,))
    best = float("inf")
    for _ in range(steps + 1):
        began = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(batch), target).backward()
        optimizer.step()
        best = min(best, time.perf_counter() - began)
    return ROWS * operations_per_row / best


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
    parser.add_argument("--steps", type=int, default=1, help="steps of each network after the first; the best counts")
    parser.add_argument("--suite", action="append", help="repeatable; all by default")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    name = devices.name_of(torch.device("cpu"))
    print(f"{name}, {cores} cores, Python {platform.python_version()}, torch {torch.__version__}")
    print(f"GPU: {asked.rate:.3g} operations a second, an assumption\n")
    heads = "".join(f"{f'{count} GPU' + 's' * (count > 1):>10}" for count in DEVICES)
    print(
        f"{'suite':24}{'runs':>6}{'operations':>12}{'rows seen':>11}{'GPU-hours':>10}{heads}{'CPU GFLOP/s':>14}"
        f"{'CPU':>10}"
    )
    counted: dict[tuple[object, ...], Counted] = {}
    networks: dict[tuple[str, str], tuple[int, Counted]] = {}
    for suite_name in asked.suite or suites.available():
        suite = suites.load(suite_name)
        cells = []
        for preset in sweep.expand(suite.presets, (), suite.grid):
            key = (preset.data.name, preset.data.limit, preset.data.validation, preset.model, preset.channels_last)
            if key not in counted:
                found = costs.estimate(preset)
                rate = cpu_rate(preset, found.flops / found.training_rows, asked.steps)
                counted[key] = Counted(found.flops, found.training_rows, rate)
                networks[preset.model.name, preset.data.name] = (preset.batch_size, counted[key])
            passes = [len(losses.find(parse_loss(text)).steps) for text in suite.losses]
            cells += [(preset, counted[key], steps) for steps in passes for _ in sweep.parse_seeds(suite.seeds)]
        operations = [each.operations * preset.epochs * steps for preset, each, steps in cells]
        rows = sum(each.rows * preset.epochs for preset, each, _ in cells)
        lengths = [each / asked.rate for each in operations]
        spans = "".join(f"{span(makespan(lengths, count)):>10}" for count in DEVICES)
        rates = sorted(each.cpu_rate / 1e9 for _, each, _ in cells)
        cpu = sum(each / found.cpu_rate for each, (_, found, _) in zip(operations, cells, strict=True))
        print(
            f"{suite_name:24}{len(cells):6,}{sum(operations):12.3g}{rows:11.3g}{sum(lengths) / 3600:10.2f}{spans}"
            f"{f'{rates[0]:.0f} to {rates[-1]:.0f}':>14}{span(cpu):>10}",
            flush=True,
        )
    print("\nsteps: measured on this CPU, and what the assumption makes of them on a GPU")
    print(f"{'network':24}{'data':20}{'batch':>6}{'operations a row':>18}{'CPU step':>12}{'GPU step':>12}")
    for (network, dataset), (batch, each) in networks.items():
        if dataset.startswith("uci-"):
            continue
        row = each.operations / each.rows
        cpu, gpu = batch * row / each.cpu_rate, batch * row / asked.rate
        print(f"{network:24}{dataset:20}{batch:6}{row:18.3g}{cpu:10.2f} s{1000 * gpu:9.3f} ms")


if __name__ == "__main__":
    main()
