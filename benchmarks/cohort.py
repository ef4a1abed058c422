"""How many runs a second a cohort trains, beside the loop everybody writes.

    python benchmarks/cohort.py [--rounds 5] > benchmarks/cohort.txt

The plain loop is a DataLoader, nn.Linear, cross entropy by autograd, torch.optim.SGD and `.item()` at every step; one
run after the other. The cohort trains six losses at three learning rates, records included. Both train in turn in
one process on one thread, on made-up rows of the median shape of the UCI collection (800 rows, 16 features,
3 classes, batch 8) and of a larger one (100 features, 10 classes). The second ratio has everything: both evaluate on
the test rows, the loop loss and accuracy, the cohort every metric; the loop appends them to a CSV file, and each run
of the cohort its event to the journal, from where the events are taken into the store. Only the ratios mean anything
on another machine.
"""

import argparse
import csv
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossbench import losses
from lossbench.cohort.cohort import Cohort
from lossbench.data import Dataset, Split
from lossbench.events import EpochDone, RunEnded, RunStarted, new_run_id, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.store import try_ingest

LOSSES = ("ce", "el", "ce-el:focus=0", "ce-el:focus=0,0.5", "ce-el:focus=0-0.5", "adaptive")
RATES = (0.01, 0.003, 0.001)
ROWS, HELD_OUT, BATCH, EPOCHS = 800, 400, 8, 50
SIZES = ((16, 3), (100, 10))
WIDTHS = (1, 36, 216)


def made_up(features: int, classes: int) -> Dataset:
    """Overlapping clouds."""
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(classes, features, generator=random)

    def split(count: int) -> Split:
        target = torch.randint(classes, (count,), generator=random)
        return Split(inputs=centres[target] + 2 * torch.randn(count, features, generator=random), target=target)

    return Dataset(
        name="made-up",
        kind="features",
        train=split(ROWS),
        val=None,
        test=split(HELD_OUT),
        classes=classes,
        class_names=tuple(map(str, range(classes))),
    )


def cells(count: int, model: ModelSpec) -> list[RunSpec]:
    """Losses by rates by seeds, seed after seed."""
    runs = []
    for at in range(count):
        preset = Preset(
            name="made-up",
            data=DataSpec(name="made-up"),
            model=model,
            epochs=EPOCHS,
            batch_size=BATCH,
            optimizer=OptimizerSpec(name="sgd", lr=RATES[at // len(LOSSES) % len(RATES)], momentum=0.9),
        )
        runs.append(
            RunSpec(
                preset=preset,
                loss=losses.resolve(LOSSES[at % len(LOSSES)]),
                seed=at // (len(LOSSES) * len(RATES)),
                numbers_version=NUMBERS_VERSION,
            )
        )
    return runs


def plain(dataset: Dataset, hidden: tuple[int, ...], file: TextIO) -> Iterator[tuple[float, float]]:
    """One run, training after training: seconds per epoch of training, and with a test pass and a line in a file."""
    widths = (dataset.train.inputs.shape[1], *hidden)
    training = DataLoader(TensorDataset(dataset.train.inputs, dataset.train.target), batch_size=BATCH, shuffle=True)
    testing = DataLoader(TensorDataset(dataset.test.inputs, dataset.test.target), batch_size=BATCH)
    criterion = nn.CrossEntropyLoss()
    lines = csv.writer(file)
    while True:
        trained, first = 0.0, time.perf_counter()
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        network = nn.Sequential(*layers, nn.Linear(widths[-1], dataset.classes))
        optimizer = torch.optim.SGD(network.parameters(), lr=RATES[0], momentum=0.9)
        for _ in range(EPOCHS):
            began = time.perf_counter()
            total = 0.0
            for inputs, target in training:
                optimizer.zero_grad()
                loss = criterion(network(inputs), target)
                loss.backward()
                optimizer.step()
                total += loss.item()
            trained += time.perf_counter() - began
            right, seen = 0, 0.0
            with torch.no_grad():
                for inputs, target in testing:
                    logits = network(inputs)
                    seen += criterion(logits, target).item()
                    right += (logits.argmax(1) == target).sum().item()
            lines.writerow([total / len(training), seen / len(testing), right / HELD_OUT])
            file.flush()
        yield trained / EPOCHS, (time.perf_counter() - first) / EPOCHS


def together(runs: list[RunSpec], dataset: Dataset, home: Home) -> Iterator[tuple[float, float]]:
    """A cohort, training after training: seconds per run and epoch of training, and with all metrics in the store."""
    home.create()
    while True:
        trained, first = 0.0, time.perf_counter()
        ids = [new_run_id() for _ in runs]
        cohort = Cohort(runs, dataset, device="cpu")
        with Journal(home) as journal:
            for run_id, spec in zip(ids, runs, strict=True):
                asked = {"key": spec.key, "recipe": spec.recipe, "spec": spec.resolved()}
                journal.append(RunStarted(run_id=run_id, at=now(), from_epoch=0, provenance={}, **asked))
            for record in cohort.epochs():
                trained += ROWS / record[0].values["train/samples_per_second"]
                at = now()
                journal.extend([EpochDone(run_id=ids[i], at=at, metrics=metrics) for i, metrics in record.items()])
            for run_id in ids:
                journal.append(RunEnded(run_id=run_id, at=now(), status="done", reason=""))
        assert try_ingest(home)
        yield trained / EPOCHS, (time.perf_counter() - first) / EPOCHS / len(runs)


def spread(values: list[float], form: Callable[[float], str]) -> str:
    """Median and range."""
    return f"{form(statistics.median(values))} ({form(min(values))} to {form(max(values))})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {processor()}, torch {torch.__version__}, Python {platform.python_version()}")
    print(f"1 thread, {rounds} rounds in turn; microseconds per run and step, median (range)")
    print(f"load when begun: {os.getloadavg()[0]:.1f} processes on {os.cpu_count()} cores\n")
    print(f"{'network':24} {'runs':>5} {'plain loop':>24} {'cohort':>24} {'ratio':>20} {'ratio with everything':>24}")
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "plain.csv").open("w", newline="") as file:
        measure(rounds, Path(folder), file)


def measure(rounds: int, folder: Path, file: TextIO) -> None:
    """Time and print a line for each network and number of runs; the loop writes into the file."""
    for features, classes in SIZES:
        dataset = made_up(features, classes)
        for model in (ModelSpec(name="linear"), ModelSpec(name="mlp", hidden=(features,))):
            widths = "-".join(map(str, (features, *model.hidden, classes)))
            loop = plain(dataset, model.hidden, file)
            cohorts = {
                width: together(cells(width, model), dataset, Home(folder / f"{widths}-{width}")) for width in WIDTHS
            }
            for each in (loop, *cohorts.values()):
                next(each)
            timed: dict[int, list[tuple[float, ...]]] = {width: [] for width in WIDTHS}
            for _ in range(rounds):
                for width, cohort in cohorts.items():
                    timed[width].append((*next(loop), *next(cohort)))
            for width, measured in timed.items():
                steps = ROWS / BATCH / 1e6
                alone, with_test, mine, mine_with_test = (list(each) for each in zip(*measured, strict=True))
                ratios = [one / other for one, other in zip(alone, mine, strict=True)]
                full = [one / other for one, other in zip(with_test, mine_with_test, strict=True)]
                print(
                    f"{model.name + ' ' + widths:24} {width:5} "
                    f"{spread([each / steps for each in alone], lambda value: f'{value:.0f}'):>24} "
                    f"{spread([each / steps for each in mine], lambda value: f'{value:.2f}'):>24} "
                    f"{spread(ratios, lambda value: f'{value:.0f}'):>20} "
                    f"{spread(full, lambda value: f'{value:.0f}'):>24}",
                    flush=True,
                )


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        with Path("/proc/cpuinfo").open() as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "processor unknown"


if __name__ == "__main__":
    main()
