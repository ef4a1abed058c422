"""What a preset will cost, told from shapes alone: no data is read and no weight is made."""

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from lossbench import data, models
from lossbench.spec import Preset

__all__ = ["Costs", "estimate"]

_TYPICAL_VOCABULARY = 10_000
"""For sets whose vocabulary is known once their file has been read."""

_BERT_VOCABULARY = 30_522
"""Word pieces of the published BERT (arXiv 1810.04805)."""

_BYTES = {"images": 1, "features": 4, "tokens": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Counts for one run of a preset."""

    weights: int
    training_rows: int
    flops: int
    """Of the multiplications and additions in matrix products and convolutions, forward and back, of one epoch."""
    data_bytes: int
    """Of all rows of the data set, as they are kept in memory and on disk; of a streamed one, on disk alone."""

    def __str__(self) -> str:
        return (
            f"about {self.weights:,} weights, {self.training_rows:,} training rows, {self.flops:.2g} operations an "
            f"epoch, {self.data_bytes / 2**20:,.1f} MiB of data"
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
        with FlopCounterMode(display=False) as counter:
            network(batch).sum().backward()
    rows = _training_rows(preset, source)
    return Costs(
        weights=sum(weight.numel() for weight in network.parameters()),
        training_rows=rows,
        flops=counter.get_total_flops() // 2 * rows,
        data_bytes=source.file_bytes or _row_bytes(source, shape) * source.rows,
    )


def _row_bytes(source: data.Source, shape: tuple[int, ...]) -> int:
    return (shape[0] if source.kind == "tokens" else math.prod(shape)) * _BYTES[source.kind]


def _training_rows(preset: Preset, source: data.Source) -> int:
    rows = source.rows - source.test_rows
    rows -= round(rows * preset.data.test)
    rows -= round(rows * preset.data.validation)
    return min(rows, preset.data.limit or rows)
