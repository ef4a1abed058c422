"""Pictures that stay in their files until a batch needs them: worker processes read, cut and scale them.

For sets larger than memory the inputs of a `Split` are row numbers of `Pictures`. Which pixels a batch holds hangs on
seed, epoch and picture alone, never on how many workers there are. Bytes travel from the workers to the device, where
they become network inputs in the same way as those of a set that lies there already.
"""

import math
import multiprocessing
import random
import signal
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lossbench.errors import DataError
from lossbench.randomness import seed_for

__all__ = ["AHEAD", "LARGEST_BATCH", "Cut", "Pictures", "box"]

AHEAD = 2
"""Batches that each worker has ready or under way."""

LARGEST_BATCH = 256
"""Pictures evaluated at once: larger batches fill memory with pixels that wait, and are no faster."""

_MARGIN = (8, 7)
"""Shorter side to the side of the middle that is evaluated: 256 to 224 in PyTorch's ImageNet recipe."""

_ASPECTS = (3 / 4, 4 / 3)  # width over height of a random part, as in torchvision
_ATTEMPTS = 10  # to find a part that lies inside, as in torchvision


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How training pictures are cut in one epoch: parts of at least `area` of each picture, by the run's seed."""

    area: float
    seed: int
    epoch: int


class Pictures:
    """Picture files below a folder, read by workers that start with the first batch and stay until this is let go.

    Args:
        root: folder the names are relative to.
        names: of the files, as UTF-8 [D].
        side: height and width of the squares that the pictures become.
    """

    def __init__(self, root: Path, names: "np.ndarray[Any, np.dtype[np.bytes_]]", side: int) -> None:
        self.root = root
        self.names = names
        self.side = side
        self._plan = _Plan()
        self._loader: DataLoader[Tensor | str] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture: (C, H, W)."""
        return 3, self.side, self.side

    def batches(self, parts: Iterable[Tensor], cut: Cut | None, *, pinned: bool) -> Iterator[Tensor]:
        """The pictures of each part's row numbers, on the CPU, as bytes [N, C, H, W], read ahead.

        One sequence is read at a time: asking for another one ends those before it.

        Args:
            cut: random parts to train on; None takes the middle of each picture.
            pinned: into memory from which a GPU fetches by itself.
        Raises:
            DataError: a file is missing or no picture.
        """
        self._plan.wanted = (_Wanted(tuple(self.names[part].tolist()), tuple(part.tolist()), cut) for part in parts)
        if self._loader is None:
            # One thread is what small runs compute with: it reads by itself, without the seconds a process takes to
            # start.
            threads = torch.get_num_threads()
            self._loader = self._start(pinned=pinned, workers=threads if threads > 1 else 0)
        for pixels in self._loader:
            if isinstance(pixels, str):  # an error raised in a worker would arrive as a page of traceback
                raise DataError(pixels)
            yield pixels

    def _start(self, *, pinned: bool, workers: int) -> "DataLoader[Tensor | str]":
        side_by_side: dict[str, Any] = {}
        if workers:
            # A forked worker would inherit locks that threads of this process hold.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([__name__])
            side_by_side = {
                "multiprocessing_context": context,
                "persistent_workers": True,
                "prefetch_factor": AHEAD,
                "worker_init_fn": _begin_worker,
            }
        reader = _Reader(self.root, self.side)
        return DataLoader(
            reader,
            batch_size=None,
            sampler=self._plan,
            num_workers=workers,
            pin_memory=pinned,
            generator=torch.Generator(),  # else it would draw from the stream that dropout uses
            **side_by_side,
        )


def box(width: int, height: int, cut: Cut, row: int) -> tuple[int, int, int, int]:
    """The part of a picture that an epoch shows: left, top, right, bottom, as in torchvision's `RandomResizedCrop`.

    Its area is uniform between `cut.area` and all of the picture, the logarithm of its aspect between those of 3/4 and
    4/3, and its place anywhere; should no part of ten fit, it is the largest middle one of a permitted aspect.
    """
    stream = random.Random(seed_for(cut.seed, "augment", cut.epoch, "part", row))
    low, high = map(math.log, _ASPECTS)
    for _ in range(_ATTEMPTS):
        area = width * height * stream.uniform(cut.area, 1)
        aspect = math.exp(stream.uniform(low, high))
        wide, tall = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < tall <= height:
            left, top = stream.randint(0, width - wide), stream.randint(0, height - tall)
            return left, top, left + wide, top + tall
    wide = min(width, round(height * _ASPECTS[1]))
    tall = min(height, round(width / _ASPECTS[0]))
    left, top = (width - wide) // 2, (height - tall) // 2
    return left, top, left + wide, top + tall


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One batch, in the words a worker needs."""

    names: tuple[bytes, ...]
    rows: tuple[int, ...]
    cut: Cut | None


class _Plan:
    """The batches to read, in order; changed between two epochs without the workers being started anew."""

    wanted: Iterable[_Wanted] = ()

    def __iter__(self) -> Iterator[_Wanted]:
        return iter(self.wanted)


class _Reader(Dataset[Tensor | str]):
    """What a worker does with a batch: its pixels [N, C, H, W], or why they are not to be had."""

    def __init__(self, root: Path, side: int) -> None:
        self._root = root
        self._side = side

    def __getitem__(self, wanted: _Wanted) -> Tensor | str:
        pixels = np.empty((len(wanted.rows), self._side, self._side, 3), dtype=np.uint8)
        for place, (name, row) in enumerate(zip(wanted.names, wanted.rows, strict=True)):
            path = self._root / name.decode()
            try:
                pixels[place] = _read(path, self._side, wanted.cut, row)
            except (OSError, ValueError, SyntaxError) as error:  # Pillow raises each of them for damaged files
                return f"{path} is not a picture: {error}"
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _read(path: Path, side: int, cut: Cut | None, row: int) -> Any:
    """One picture as bytes [side, side, 3]."""
    from PIL import Image  # only runs on picture files need it

    with Image.open(path) as file:
        picture = file.convert("RGB")
    width, height = picture.size
    if cut is not None:
        part = picture.crop(box(width, height, cut, row))
        return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))
    shorter = side * _MARGIN[0] // _MARGIN[1]
    sizes = tuple(shorter * length // min(width, height) for length in (width, height))
    scaled = picture.resize((sizes[0], sizes[1]), Image.Resampling.BILINEAR)
    left, top = round((scaled.width - side) / 2), round((scaled.height - side) / 2)
    return np.asarray(scaled.crop((left, top, left + side, top + side)))


def _begin_worker(number: int) -> None:
    # Ctrl-C reaches the whole process group; whether a worker stops is for its parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")  # Pillow warns of odd metadata, of which ImageNet has some
