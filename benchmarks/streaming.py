"""How many pictures a second come out of their files, and what is the limit?

    python benchmarks/streaming.py > benchmarks/streaming.txt

Makes a folder of JPEG files of ImageNet's usual size (500 x 375 pixels, about 100 KB), with the spectrum of natural
pictures, and reads it as a training epoch does, up to the bytes that are handed to the device: with lossbench, and with
torchvision's ImageFolder, the same cutting and a plain DataLoader. Rounds take every arrangement in turn; the first one
warms up. The files stay in the page cache, so no disk is measured. Last, one network trains.
"""

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision import datasets, transforms

from lossbench import data, devices, losses, presets
from lossbench.data import streaming
from lossbench.spec import NUMBERS_VERSION, Preset, RunSpec
from lossbench.trainer import Trainer

CLASSES = 8
WIDTH, HEIGHT = 500, 375
TESTED = 16

Turn = Callable[[], float]


def photograph(number: int, path: Path) -> None:
    """Noise whose amplitude falls with frequency as that of photographs does."""
    random = np.random.default_rng(number)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None])
    frequency[0, 0] = 1
    planes = []
    for _ in range(3):
        phase = np.exp(2j * np.pi * random.random(frequency.shape))
        plane = np.fft.irfft2(phase / frequency, (HEIGHT, WIDTH))
        planes.append(127 + 50 * (plane - plane.mean()) / plane.std())
    pixels = np.stack(planes, -1).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "JPEG", quality=85)


def fill(folder: Path, pictures: int) -> float:
    """Write so many training pictures, and a few to test on; mean size of a file in KB."""
    paths = [
        folder / "imagenet" / part / f"n{number % CLASSES:08d}" / f"{number}.JPEG"
        for part, count in (("train", pictures), ("val", TESTED))
        for number in range(count)
    ]
    with ProcessPoolExecutor() as pool:
        list(pool.map(photograph, range(len(paths)), paths, chunksize=8))
    return statistics.mean(path.stat().st_size for path in paths) / 1000


def read_alone(dataset: data.Dataset, cut: streaming.Cut) -> float:
    """Images per second that one core reads, cuts and scales, with nothing else to do."""
    pictures = dataset.pictures
    assert pictures is not None
    rows = dataset.train.inputs.tolist()
    wanted = streaming._Wanted(tuple(pictures.names[rows].tolist()), tuple(rows), cut)
    began = time.process_time()
    streaming._Reader(pictures.root, pictures.side)[wanted]
    return len(rows) / (time.process_time() - began)


def our_turn(dataset: data.Dataset, preset: Preset, workers: int) -> Turn:
    # Each arrangement keeps its workers from round to round, as a training does from epoch to epoch.
    pictures = dataset.pictures
    assert pictures is not None
    loader = pictures._start(pinned=False, workers=workers)
    epochs = itertools.count()

    def turn() -> float:
        pictures._loader = loader
        cut = streaming.Cut(area=preset.data.part, seed=0, epoch=next(epochs))
        began = time.perf_counter()
        order = data.permutation(len(dataset.train), seed=0, epoch=cut.epoch)
        parts = torch.split(dataset.train.inputs[order], preset.batch_size)
        images = sum(len(pixels) for pixels in pictures.batches(parts, cut, pinned=False))
        return images / (time.perf_counter() - began)

    return turn


def plain_turn(folder: Path, preset: Preset, workers: int) -> Turn:
    cutting = transforms.Compose([transforms.RandomResizedCrop(preset.data.side), transforms.PILToTensor()])
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(folder / "imagenet" / "train", cutting),
        batch_size=preset.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )

    def turn() -> float:
        began = time.perf_counter()
        images = sum(len(pixels) for pixels, _ in loader)
        return images / (time.perf_counter() - began)

    return turn


def trained(dataset: data.Dataset, preset: Preset) -> Iterator[tuple[float, float]]:
    """Images per second and data stalls of each epoch of a training, its first one left out, as runs record them."""
    spec = RunSpec(preset=preset, loss=losses.resolve("ce"), seed=0, numbers_version=NUMBERS_VERSION)
    for record in itertools.islice(Trainer(spec, dataset, device="cpu").epochs(), 1, None):
        yield record[0].values["train/samples_per_second"], record[0].values["train/data_stall"]


def spread(values: Sequence[float], digits: int = 0) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--workers", default="0,1,2,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="shufflenet-v2")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than cores are the point
    torch.set_num_threads(cores)
    data.get("imagenet").read.keywords["classes"] = CLASSES
    fields = ["batch_size=32", "epochs=3"]
    preset = presets.load(f"imagenet-{asked.model}-mixing", fields)
    print(
        f"{devices.name_of(torch.device('cpu'))}, {cores} cores, Python {platform.python_version()}, torch "
        f"{torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = fill(folder, asked.pictures)
        print(f"{asked.pictures} pictures of {WIDTH} x {HEIGHT}, {size:.0f} KB each; batches of {preset.batch_size}")
        dataset = data.load(preset.data, folder)
        turns: dict[tuple[str, int], Turn] = {}
        for workers in map(int, asked.workers.split(",")):
            turns["lossbench", workers] = our_turn(dataset, preset, workers)
            turns["plain", workers] = plain_turn(folder, preset, workers)
        found: dict[tuple[str, int], list[float]] = {key: [] for key in turns}
        for number in range(asked.rounds + 1):
            for key, turn in turns.items():
                rate = turn()
                if number:
                    found[key].append(rate)
        print(f"\nimages a second, median (range) of {asked.rounds} rounds")
        print(f"{'workers':>7} {'lossbench':>22} {'plain DataLoader':>22} {'ratio':>22}")
        for workers in sorted({workers for _, workers in found}):
            ours, plain = found["lossbench", workers], found["plain", workers]
            ratios = [mine / theirs for mine, theirs in zip(ours, plain, strict=True)]
            print(f"{workers:7} {spread(ours):>22} {spread(plain):>22} {spread(ratios, 2):>22}")
        alone = max(read_alone(dataset, streaming.Cut(area=preset.data.part, seed=0, epoch=0)) for _ in range(3))
        best = max((rates for (whose, _), rates in found.items() if whose == "lossbench"), key=statistics.median)
        reached = statistics.median(best)
        print(
            f"\none core alone: {alone:.0f} images a second of its time; {cores} cores at most {cores * alone:.0f}; "
            f"reached: {reached:.0f}, {100 * reached / (cores * alone):.0f} % of it"
        )
        dataset = data.load(preset.data, folder)
        rates, stalls = zip(*trained(dataset, preset), strict=True)
        limit = "decoding" if statistics.median(stalls) > 0.5 else "the step"
        print(
            f"training {asked.model}: {spread(rates, 1)} images a second, waiting for data "
            f"{100 * statistics.median(stalls):.1f} % of the time; the limit is {limit}"
        )


if __name__ == "__main__":
    main()
