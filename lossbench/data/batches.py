"""Batches of a data set, in an order and with an augmentation that only seed and epoch decide."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from lossbench.data import augment
from lossbench.data.splits import generator
from lossbench.data.streaming import LARGEST_BATCH, Cut
from lossbench.data.types import Dataset
from lossbench.spec import DataSpec

__all__ = ["batches", "evaluation_batches", "permutation"]


def permutation(rows: int, *, seed: int, epoch: int) -> Tensor:
    """The order in which that epoch visits the training rows."""
    return torch.randperm(rows, generator=generator(seed, "shuffle", epoch))


def batches(
    dataset: Dataset,
    spec: DataSpec,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    device: torch.device | str,
    pieces: Callable[[Tensor], Sequence[Tensor]] = lambda rows: (rows,),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Training batches of one epoch, the last one shorter where the rows do not divide.

    Args:
        pieces: of the row numbers of each batch [N], those to be had, as so many batches; all of them by default.
    """
    home = dataset.train.target.device
    order = permutation(len(dataset.train), seed=seed, epoch=epoch)
    views = None
    if dataset.kind == "images":
        height, width = dataset.shape[1:]
        views = augment.draw(spec, len(dataset.train), (height, width), seed=seed, epoch=epoch)
        views = views and views.to(home)
    raw = dataset.train.inputs
    wanted = [piece for rows in torch.split(order, batch_size) for piece in pieces(rows)]
    # Row numbers travel once per epoch: every copy to a GPU waits for all that it still has to do.
    numbers, sizes = torch.cat(wanted), [*map(len, wanted)]
    parts = (raw[rows] for rows in torch.split(numbers.to(raw.device), sizes))
    cut = Cut(area=spec.part, seed=seed, epoch=epoch) if spec.part else None
    for rows, inputs in zip(torch.split(numbers.to(home), sizes), _present(dataset, parts, cut), strict=True):
        if dataset.kind == "images":
            inputs = _network_input(inputs, dataset, views and views.take(rows))
        yield inputs.to(device, non_blocking=True), dataset.train.target[rows].to(device, non_blocking=True)


def evaluation_batches(
    dataset: Dataset,
    split: Literal["train", "val", "test"],
    spec: DataSpec,
    *,
    device: torch.device | str,
    batch_size: int,
    part: slice = slice(None),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of a split, all by default, in their own order, normalised and not augmented.

    Nothing where the split is not held out.
    """
    rows = dataset.split(split)
    if rows is None or not len(rows.target[part]):
        return
    at_once = batch_size if dataset.pictures is None else min(batch_size, LARGEST_BATCH)
    pieces = _present(dataset, torch.split(rows.inputs[part], at_once), None)
    for inputs, target in zip(pieces, torch.split(rows.target[part], at_once), strict=True):
        images = _network_input(inputs, dataset, None) if dataset.kind == "images" else inputs
        yield images.to(device, non_blocking=True), target.to(device, non_blocking=True)


def _present(dataset: Dataset, pieces: Iterable[Tensor], cut: Cut | None) -> Iterator[Tensor]:
    """Pieces of a split's inputs, with pictures in place of the numbers of their files."""
    if dataset.pictures is None:
        yield from pieces
        return
    home = dataset.train.target.device
    for pixels in dataset.pictures.batches(pieces, cut, pinned=home.type == "cuda"):
        yield pixels.to(home, non_blocking=True)


def _network_input(images: Tensor, dataset: Dataset, views: augment.Views | None) -> Tensor:
    assert dataset.shift is not None
    assert dataset.scale is not None
    return augment.network_input(images, dataset.shift, dataset.scale, views)
