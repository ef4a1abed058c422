"""How fast do CIFAR-sized networks train? lossbench beside the loop that the CIFAR repositories use, in one process.

    python benchmarks/cifar.py --data-dir DIR --rounds 5 > benchmarks/cifar.txt

The plain loop is written here in the manner of pytorch-cifar100: PIL transforms in a DataLoader without workers (on few
cores workers make it slower), float32, pixels row by row, `.item()` on the loss and on the hits of every step. Both
train the same network on the same CIFAR-100 images at the preset's batch size. Variants take turns, so that a busy
machine slows all of them; a ratio compares times of one turn.
"""

import argparse
import dataclasses
import itertools
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from lossbench import data, devices, losses, models, presets
from lossbench.data import Dataset
from lossbench.spec import NUMBERS_VERSION, Preset, RunSpec
from lossbench.trainer import Trainer

PRESETS = ("cifar100-resnet18", "cifar100-resnet20-mixing")
NUMERICS = {
    "fp32": ("precision=fp32", "channels_last=true"),
    "bf16": ("precision=bf16", "channels_last=true"),
}
EVALUATED_ROWS = 2048
EVALUATED = (32, 64, 128, 256, 512)
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


def plain_turns(preset: Preset, dataset: Dataset, steps: int) -> Turn:
    model = models.build(preset.model, dataset.shape, dataset.classes, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(Pictures(dataset), batch_size=preset.batch_size, shuffle=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def turn() -> float:
        model.train()
        began, images, running = time.perf_counter(), 0, 0.0
        for inputs, target in itertools.islice(batches, steps):
            optimizer.zero_grad()
            logits = model(inputs)
            loss = torch.nn.functional.cross_entropy(logits, target)
            loss.backward()
            optimizer.step()
            running += loss.item() + (logits.argmax(1) == target).sum().item()
            images += len(target)
        return images / (time.perf_counter() - began)

    return turn


def trainer_of(preset: Preset, dataset: Dataset) -> Trainer:
    spec = RunSpec(preset=preset, loss=losses.resolve("ce"), seed=0, numbers_version=NUMBERS_VERSION)
    return Trainer(spec, dataset, device="cpu")


def our_turns(trainer: Trainer, dataset: Dataset, steps: int) -> Turn:
    preset = trainer.spec.preset
    functions = trainer.objective.steps(trainer._clock)

    def endless() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for epoch in itertools.count():
            yield from data.batches(dataset, preset.data, preset.batch_size, seed=0, epoch=epoch, device="cpu")

    batches = endless()

    def turn() -> float:
        trainer.model.train()
        began, images = time.perf_counter(), 0
        for inputs, target in itertools.islice(batches, steps):
            trainer._train_batch(inputs, target, functions)
            images += len(target)
        return images / (time.perf_counter() - began)

    return turn


def batch_rate(preset: Preset, dataset: Dataset) -> float:
    """Images per second of data and augmentation alone."""
    began = time.perf_counter()
    images = sum(
        len(target)
        for _, target in data.batches(dataset, preset.data, preset.batch_size, seed=0, epoch=0, device="cpu")
    )
    return images / (time.perf_counter() - began)


def evaluation_turns(trainer: Trainer, images: int) -> dict[str, Turn]:
    """The evaluation of a split with its metrics left out, and the forward pass alone at several batch sizes."""

    def whole() -> float:
        began = time.perf_counter()
        trainer._logits("test")
        return images / (time.perf_counter() - began)

    def alone(size: int) -> float:
        trainer.model.eval()
        batch = torch.randn(size, 3, 32, 32)
        times = -(-images // size)
        began = time.perf_counter()
        with torch.inference_mode():
            for _ in range(times):
                trainer._forward(batch)
        return times * size / (time.perf_counter() - began)

    return {"ours": whole, **{str(size): (lambda size=size: alone(size)) for size in EVALUATED}}


def spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def measure(name: str, folder: Path, asked: argparse.Namespace) -> None:
    limit = "data.limit=6400"
    recipes = {key: presets.load(name, [*fields, limit]) for key, fields in NUMERICS.items()}
    dataset = data.load(recipes["fp32"].data, folder)
    dataset = dataclasses.replace(dataset, test=dataset.test.take(torch.arange(EVALUATED_ROWS)))
    trainers = {key: trainer_of(recipe, dataset) for key, recipe in recipes.items()}
    turns = {"plain loop": plain_turns(recipes["fp32"], dataset, asked.steps)}
    turns |= {key: our_turns(trainer, dataset, asked.steps) for key, trainer in trainers.items()}
    found: dict[str, list[float]] = {key: [] for key in turns}
    for number in range(asked.rounds + 1):
        for key, turn in turns.items():
            rate = turn()
            if number:  # the first round warms up
                found[key].append(rate)
    supply = batch_rate(recipes["fp32"], dataset)
    print(f"\n{name}, batch {recipes['fp32'].batch_size}, {asked.rounds} rounds of {asked.steps} steps")
    print(f"{'training':12}{'images a second':>28}{'ratio':>26}{'data and augmentation':>24}")
    for key, rates in found.items():
        ratios = [mine / plain for mine, plain in zip(rates, found["plain loop"], strict=True)]
        share = "" if key == "plain loop" else f"{100 * statistics.median(rates) / supply:.2f} % of a step"
        print(f"{key:12}{spread(rates, 0):>28}{spread(ratios, 2):>26}{share:>24}", flush=True)
    for key, trainer in trainers.items():
        evaluate(key, trainer, asked.rounds)


def evaluate(key: str, trainer: Trainer, rounds: int) -> None:
    turns = evaluation_turns(trainer, len(trainer.dataset.test))
    found = {size: [turn() for _ in range(2)][1:] for size, turn in turns.items()}
    best = max(EVALUATED, key=lambda size: found[str(size)])
    pairs = [(turns["ours"](), turns[str(best)]()) for _ in range(rounds)]
    rates, ratios = [ours for ours, _ in pairs], [ours / alone for ours, alone in pairs]
    print(
        f"evaluation {key}: {spread(rates, 0)} images a second, {spread(ratios, 2)} of the forward pass alone at its "
        f"best batch size, {best}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--preset", action="append", help=f"repeatable; by default {' and '.join(PRESETS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    asked = parser.parse_args()
    device = torch.device("cpu")
    rates = ", ".join(
        f"{devices.product_rate(device, dtype) / 1e9:.0f} in {name}"
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    )
    print(
        f"{devices.name_of(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}; matrix products: {rates} GFLOP/s; median (range)"
    )
    for name in asked.preset or PRESETS:
        measure(name, asked.data_dir, asked)


if __name__ == "__main__":
    main()
