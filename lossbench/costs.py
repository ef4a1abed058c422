"""What a preset will cost, told from shapes alone: no data is read and no weight is made."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from lossbench import data, models
from lossbench.data.streaming import AHEAD
from lossbench.spec import Preset

__all__ = ["Costs", "estimate"]

_TYPICAL_VOCABULARY = 10_000
"""For sets whose vocabulary is known once their file has been read."""

_BERT_VOCABULARY = 30_522
"""Word pieces of the published BERT (arXiv 1810.04805)."""

_BYTES = {"images": 1, "features": 4, "tokens": 8}

_WEIGHT_BYTES = 4

_PROGRAM = 900 << 20
"""A process that has trained its first batch holds about this much besides what its preset adds: torch, its kernels
and compiler, DuckDB; measured with torch 2.15 on Linux, and rounded up."""

_COPIES = {"weights": 4, "states": 3, "activations": 3, "rows": 3}
"""How often each part may be in memory at once. Weights: themselves, their gradients, a checkpoint being made and its
bytes. States of the optimizer: themselves and the latter two. Activations: those kept for the way back, the gradients
that take their place, and what convolutions lay out anew for themselves. Rows: as read, in the network's order, and
divided into splits."""

_STATES = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimizer keeps for each weight."""

_PATH_BYTES = 64
"""Of one picture of a streamed set, which is in memory by its path."""

_SMALLEST_BATCH = 64
"""Evaluation takes batches of this size on a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Counts for one run of a preset."""

    weights: int
    training_rows: int
    flops: int
    """Of the multiplications and additions in matrix products and convolutions, forward and back, of one epoch."""
    data_bytes: int
    """Of all rows of the data set, as they are kept in memory and on disk; of a streamed one, on disk alone."""
    memory_bytes: int
    """That a run takes at most on a CPU, by a generous count."""

    def __str__(self) -> str:
        return (
            f"about {self.weights:,} weights, {self.training_rows:,} training rows, {self.flops:.2g} operations an "
            f"epoch, {self.data_bytes / 2**20:,.1f} MiB of data, at most "
            f"{self.memory_bytes / 2**20:,.0f} MiB of memory on a CPU"
        )


def estimate(preset: Preset) -> Costs:
    """Count weights, operations and bytes of a preset.

    Raises:
        UsageError: the preset names no data set or model, or two that do not go together.
    """
    source = data.get(preset.data.name)
    vocabulary = _BERT_VOCABULARY if preset.data.tokenizer else _TYPICAL_VOCABULARY
    shape = tuple(size or vocabulary for size in source.shape)
    classes = len(preset.data.classes) or source.classes
    with torch.device("meta"):
        # Published weights are counted by their size, without fetching them.
        network = models.build(dataclasses.replace(preset.model, pretrained=""), shape, classes, seed=0)
        batch = torch.ones(2, shape[0], dtype=torch.int64) if source.kind == "tokens" else torch.empty(2, *shape)
        kept: dict[int, torch.UntypedStorage] = {}
        counting = FlopCounterMode(
            display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_back}
        )
        with counting as counter, saved_tensors_hooks(partial(_noted, kept), lambda each: each):
            network(batch).sum().backward()
    rows = _training_rows(preset, source)
    weights = sum(weight.numel() for weight in network.parameters())
    own = {id(weight.untyped_storage()) for weight in network.parameters()}
    activation_bytes = sum(storage.nbytes() for number, storage in kept.items() if number not in own) // len(batch)
    return Costs(
        weights=weights,
        training_rows=rows,
        flops=counter.get_total_flops() // 2 * rows,
        data_bytes=source.file_bytes or _row_bytes(source, shape) * source.rows,
        memory_bytes=_memory(preset, source, weights, activation_bytes, _row_bytes(source, shape)),
    )


def _convolution_back(
    grad_out: Sequence[int],
    inputs: Sequence[int],
    weight: Sequence[int],
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    output_mask: Sequence[bool],
    *,
    out_shape: object,
) -> int:
    """Operations of a convolution's way back, from shapes: those of the way there for each of its two gradients.

    PyTorch's own count takes every channel of a grouped convolution to meet every other one.
    """
    places = inputs if transposed else grad_out
    return 2 * sum(output_mask[:2]) * math.prod(weight) * places[0] * math.prod(places[2:])


def _noted(kept: dict[int, torch.UntypedStorage], saved: Tensor) -> Tensor:
    """Note the memory that the way back needs, once however many operations need it."""
    storage = saved.untyped_storage()
    kept[id(storage)] = storage
    return saved


def _memory(preset: Preset, source: data.Source, weights: int, activation_bytes: int, row_bytes: int) -> int:
    """Bytes of a run; `activation_bytes` is what one row leaves for the way back.

    Of a streamed set not the pictures are in memory but their paths, the processes that read them, and their batches.
    """
    batch = max(preset.batch_size, _SMALLEST_BATCH)
    per_weight = _COPIES["weights"] + _COPIES["states"] * _STATES[preset.optimizer.name]
    needed = _PROGRAM + per_weight * _WEIGHT_BYTES * weights + _COPIES["activations"] * batch * activation_bytes
    if not source.streamed:
        return needed + _COPIES["rows"] * row_bytes * source.rows
    readers = torch.get_num_threads() * (_PROGRAM + AHEAD * batch * row_bytes)
    return needed + _COPIES["rows"] * _PATH_BYTES * source.rows + readers


def _row_bytes(source: data.Source, shape: tuple[int, ...]) -> int:
    return (shape[0] if source.kind == "tokens" else math.prod(shape)) * _BYTES[source.kind]


def _training_rows(preset: Preset, source: data.Source) -> int:
    rows = source.rows - source.test_rows
    rows -= round(rows * preset.data.test)
    rows -= round(rows * preset.data.validation)
    return min(rows, preset.data.limit or rows)
