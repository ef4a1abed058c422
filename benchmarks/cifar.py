"""How fast do CIFAR-sized networks train? lossbench beside the loop that the CIFAR repositories use, in one process.

    python benchmarks/cifar.py --data-dir DIR > benchmarks/cifar.txt
    python benchmarks/cifar.py --data-dir DIR --device cuda --workers 8 --steps 200 --rows 10000

The plain loop is written here in the manner of pytorch-cifar100: PIL transforms in a DataLoader (by default without
workers: on few cores they make it slower), float32, pixels row by row, `.item()` on the loss and on the hits of every
step. Both train the same network on the same CIFAR-100 images at the preset's batch size. Variants take turns, so that
a busy machine slows all of them; a ratio compares times of one turn. What compiling takes is told apart, as it is paid
once a run.
"""

import argparse
import dataclasses
import itertools
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from lossbench import data, devices, losses, metrics, models, presets
from lossbench.data import Dataset
from lossbench.ranks import World
from lossbench.schedules import Clock
from lossbench.spec import NUMBERS_VERSION, Preset, RunSpec
from lossbench.trainer import Trainer

PRESETS = ("cifar100-resnet18", "cifar100-resnet20-mixing")
NUMERICS = {
    "fp32": ("precision=fp32", "channels_last=true"),
    "fp32 compiled": ("precision=fp32", "channels_last=true", "compile=on"),
    "bf16": ("precision=bf16", "channels_last=true"),
    "bf16 compiled": ("precision=bf16", "channels_last=true", "compile=on"),
}
EVALUATED = {"cpu": (32, 64, 128, 256), "cuda": (500, 1000, 2000, 4000)}
"""Batch sizes at which the forward pass alone is tried."""

Turn = Callable[[], float]
"""Trains for one turn and gives its images per second."""


class Pictures(TorchDataset[tuple[torch.Tensor, int]]):
    """The training images as torchvision hands them to its transforms."""

    def __init__(self, dataset: Dataset) -> None:
        from torchvision import transforms

        self._images = dataset.train.inputs.permute(0, 2, 3, 1).contiguous().numpy()
        self._labels = dataset.train.target.tolist()
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.507, 0.487, 0.441), (0.267, 0.256, 0.276)),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self._transform(Image.fromarray(self._images[row])), self._labels[row]


def plain_turns(preset: Preset, dataset: Dataset, device: torch.device, asked: argparse.Namespace) -> Turn:
    model = models.build(preset.model, dataset.shape, dataset.classes, seed=0).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    pictures = Pictures(dataset)
    loader = DataLoader(pictures, batch_size=preset.batch_size, shuffle=True, num_workers=asked.workers)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def turn() -> float:
        model.train()
        began, images, running = time.perf_counter(), 0, 0.0
        for inputs, target in itertools.islice(batches, asked.steps):
            inputs, target = inputs.to(device), target.to(device)
            optimizer.zero_grad()
            logits = model(inputs)
            loss = torch.nn.functional.cross_entropy(logits, target)
            loss.backward()
            optimizer.step()
            running += loss.item() + (logits.argmax(1) == target).sum().item()
            images += len(target)
        return images / (time.perf_counter() - began)

    return turn


def our_turns(trainer: Trainer, steps: int) -> Turn:
    preset, dataset = trainer.spec.preset, trainer.dataset
    functions = trainer.objective.steps(Clock(epoch=0, epochs=1))

    def endless() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for epoch in itertools.count():
            yield from data.batches(dataset, preset.data, preset.batch_size, seed=0, epoch=epoch, device=trainer.device)

    batches = endless()

    def turn() -> float:
        trainer.model.train()
        devices.wait(trainer.device)
        began, images = time.perf_counter(), 0
        for inputs, target in itertools.islice(batches, steps):
            trainer._train_batch([(inputs, target)], functions, len(target))
            images += len(target)
        devices.wait(trainer.device)
        return images / (time.perf_counter() - began)

    return turn


def supply_turns(trainer: Trainer) -> Turn:
    """Images per second of data and augmentation alone, over an epoch."""
    preset, dataset = trainer.spec.preset, trainer.dataset

    def turn() -> float:
        began, images = time.perf_counter(), 0
        for _, target in data.batches(dataset, preset.data, preset.batch_size, seed=0, epoch=0, device=trainer.device):
            images += len(target)
        devices.wait(trainer.device)
        return images / (time.perf_counter() - began)

    return turn


def evaluation_turns(trainer: Trainer) -> dict[str, Turn]:
    """The evaluation of a split, metrics included, and the forward pass alone at several batch sizes."""
    rows = len(trainer.dataset.test)

    def whole() -> float:
        devices.wait(trainer.device)
        began = time.perf_counter()
        metrics.evaluate(trainer._logits("test", World()), trainer.dataset.test.target)
        devices.wait(trainer.device)
        return rows / (time.perf_counter() - began)

    def alone(size: int) -> float:
        trainer.model.eval()
        batch = torch.randn(size, *trainer.dataset.shape, device=trainer.device)
        times = -(-rows // size)
        devices.wait(trainer.device)
        began = time.perf_counter()
        with torch.inference_mode():
            for _ in range(times):
                trainer._forward(trainer.model, batch)
        devices.wait(trainer.device)
        return times * size / (time.perf_counter() - began)

    return {"ours": whole, **{str(size): partial(alone, size) for size in EVALUATED[trainer.device.type]}}


def spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def in_turn(turns: dict[str, Turn], rounds: int) -> dict[str, list[float]]:
    """What each found in every round but the first, which warms up."""
    found = [{name: turn() for name, turn in turns.items()} for _ in range(rounds + 1)]
    return {name: [each[name] for each in found[1:]] for name in turns}


def measure(name: str, asked: argparse.Namespace) -> None:
    device = torch.device(asked.device)
    wanted = asked.numerics or list(NUMERICS)
    recipes = {key: presets.load(name, [*NUMERICS[key], "data.limit=6400"]) for key in wanted}
    first = recipes[wanted[0]]
    dataset = data.load(first.data, asked.data_dir)
    dataset = dataclasses.replace(dataset, test=dataset.test.take(torch.arange(asked.rows)))
    trainers = {}
    print(f"\n{name}, batch {first.batch_size}, {asked.rounds} rounds of {asked.steps} steps")
    for key, recipe in recipes.items():
        spec = RunSpec(preset=recipe, loss=losses.resolve("ce"), seed=0, numbers_version=NUMBERS_VERSION)
        began = time.perf_counter()
        trainers[key] = Trainer(spec, dataset, device=device, compile=recipe.compile == "on")
        if recipe.compile == "on":
            print(f"{key}: ready after {time.perf_counter() - began:.1f} s {trainers[key].uncompiled}")
    turns = {"plain loop": plain_turns(first, dataset, device, asked)}
    turns |= {key: our_turns(trainer, asked.steps) for key, trainer in trainers.items()}
    supplies = in_turn({"data": supply_turns(trainers[wanted[0]])}, asked.rounds)["data"]
    found = in_turn(turns, asked.rounds)
    print(f"{'training':14}{'images a second':>26}{'ratio':>22}{'data and augmentation':>24}")
    for key, rates in found.items():
        ratios = [mine / plain for mine, plain in zip(rates, found["plain loop"], strict=True)]
        share = 100 * statistics.median(rates) / statistics.median(supplies)
        told = "" if key == "plain loop" else f"{share:.2f} % of a step"
        print(f"{key:14}{spread(rates, 0):>26}{spread(ratios, 2):>22}{told:>24}", flush=True)
    for key, trainer in trainers.items():
        if trainer.spec.preset.compile != "on":  # evaluation is not compiled
            evaluate(key, trainer, asked.rounds)


def evaluate(key: str, trainer: Trainer, rounds: int) -> None:
    found = in_turn(evaluation_turns(trainer), rounds)
    ours = found.pop("ours")
    best = max(found, key=lambda size: statistics.median(found[size]))
    ratios = [mine / alone for mine, alone in zip(ours, found[best], strict=True)]
    print(
        f"evaluation {key}: {spread(ours, 0)} images a second, {spread(ratios, 2)} of the forward pass alone at its "
        f"best batch size, {best}; alone at "
        + ", ".join(f"{size}: {statistics.median(rates):.0f}" for size, rates in found.items()),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--preset", action="append", help=f"repeatable; by default {' and '.join(PRESETS)}")
    parser.add_argument("--numerics", action="append", choices=NUMERICS, help="repeatable; by default all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes of the plain loop's DataLoader")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rows", type=int, default=1024, help="rows that are evaluated")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    rates = ", ".join(
        f"{devices.product_rate(device, dtype) / 1e9:.0f} in {name}"
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    )
    print(
        f"{devices.name_of(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}; matrix products: {rates} GFLOP/s; median (range)"
    )
    for name in asked.preset or PRESETS:
        measure(name, asked)


if __name__ == "__main__":
    main()
