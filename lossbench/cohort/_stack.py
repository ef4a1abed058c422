"""The networks of a program as one stack of weights, with forward and backward passes written out.

Weights are `[P, out, columns]`, one network per place, the last column the bias; inputs carry a column of ones to
meet it. The first layer multiplies whole groups of places by the batch their runs share. Every product is a batched
one whose factors have shapes fixed by the network and the batch size alone, never by how many runs there are, so that
no choice of matrix kernel can depend on the company a run is in.

Nor may it depend on where a network stands: on some processors kernels round differently where a row does not begin at
a multiple of 16 bytes. So every row has a multiple of `ALIGNED` numbers, columns of zeros before the bias where needed.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["ALIGNED", "Stack", "aligned", "places_per_group"]

ALIGNED = 4
"""Numbers of float32 that fill 16 bytes."""

GROUP_ROWS = 64
"""Rows of one first-layer product: enough for a matrix kernel to be worth its call, few enough to waste little."""


def places_per_group(widths: Sequence[int]) -> int:
    """How many networks share one first-layer product."""
    return max(1, GROUP_ROWS // widths[1])


def aligned(count: int) -> int:
    """The next multiple of `ALIGNED`."""
    return -(-count // ALIGNED) * ALIGNED


class Stack:
    """P networks of the layer widths `widths`, places in groups that see one batch; empty places stay zero."""

    def __init__(self, widths: Sequence[int], groups: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self.groups = groups
        self.places = groups * places_per_group(widths)
        self.weights = [
            torch.zeros(self.places, outputs, aligned(inputs + 1), dtype=dtype, device=device)
            for inputs, outputs in pairwise(widths)
        ]

    def hidden(self, rows: int) -> list[Tensor]:
        """Memory for the activations of `rows` rows, one [P, columns, rows] per later layer, the last row ones."""
        memory = [layer.new_zeros(self.places, layer.shape[2], rows) for layer in self.weights[1:]]
        for each in memory:
            each[:, -1] = 1.0
        return memory

    def forward(self, inputs: Tensor, hidden: Sequence[Tensor]) -> Tensor:
        """Logits [P, C, N] of inputs [groups, N, columns]; leaves activations in `hidden` for `backward`."""
        flowing = inputs.transpose(1, 2)
        for layer, activation in zip(self.weights, hidden, strict=False):
            width = layer.shape[1]
            torch.clamp_min(self._product(layer, flowing), 0.0, out=activation[:, :width])
            flowing = activation
        return self._product(self.weights[-1], flowing)

    def backward(self, inputs: Tensor, hidden: Sequence[Tensor], upstream: Tensor) -> list[Tensor]:
        """Gradients of all weights, for `upstream` [P, C, N], the gradient in the logits."""
        gradients = []
        for depth in range(len(self.weights) - 1, 0, -1):
            layer, activation = self.weights[depth], hidden[depth - 1]
            gradients.append(torch.bmm(upstream, activation.transpose(1, 2)))
            width = self.weights[depth - 1].shape[1]
            # The biases' row is computed and dropped, which is faster than multiplying by a part of the matrix.
            upstream = torch.bmm(layer.transpose(1, 2), upstream)[:, :width]
            upstream = torch.ops.aten.threshold_backward(upstream, activation[:, :width], 0.0)
        rows = upstream.reshape(self.groups, -1, upstream.shape[-1])
        gradients.append(torch.bmm(rows, inputs).view_as(self.weights[0]))
        return gradients[::-1]

    def _product(self, layer: Tensor, flowing: Tensor) -> Tensor:
        """`layer` [P, out, in] times `flowing` [P or groups, in, N], as [P, out, N]."""
        product = torch.bmm(layer.view(len(flowing), -1, layer.shape[-1]), flowing)
        return product.view(self.places, -1, product.shape[-1])
