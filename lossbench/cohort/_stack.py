"""The networks of a program as one stack of weights, with forward and backward passes written out.

Weights are `[P, out, in + 1]`, one network per place, the last column the bias; inputs carry a column of ones to
meet it. The first layer multiplies whole groups of places by the batch their runs share. Every product is a batched
one whose factors have shapes fixed by the network and the batch size alone, never by how many runs there are, so that
no choice of matrix kernel can depend on the company a run is in.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["Stack", "places_per_group"]

GROUP_ROWS = 64
"""Rows of one first-layer product: enough for a matrix kernel to be worth its call, few enough to waste little."""


def places_per_group(widths: Sequence[int]) -> int:
    """How many networks share one first-layer product."""
    return max(1, GROUP_ROWS // widths[1])


class Stack:
    """P networks of the layer widths `widths`, places in groups that see one batch; empty places stay zero."""

    def __init__(self, widths: Sequence[int], groups: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self.groups = groups
        self.places = groups * places_per_group(widths)
        self.weights = [
            torch.zeros(self.places, outputs, inputs + 1, dtype=dtype, device=device)
            for inputs, outputs in pairwise(widths)
        ]

    def hidden(self, rows: int) -> list[Tensor]:
        """Memory for the activations of `rows` rows, one [P, width + 1, rows] per hidden layer, the last row ones."""
        first, *_ = self.weights
        return [first.new_ones(self.places, layer.shape[1] + 1, rows) for layer in self.weights[:-1]]

    def forward(self, inputs: Tensor, hidden: Sequence[Tensor], logits: Tensor | None = None) -> Tensor:
        """Logits [P, C, N] of inputs [groups, N, features + 1]; leaves activations in `hidden` for `backward`."""
        flowing = inputs.transpose(1, 2)
        for layer, activation in zip(self.weights, hidden, strict=False):
            width = layer.shape[1]
            torch.clamp_min(self._product(layer, flowing), 0.0, out=activation[:, :width])
            flowing = activation
        return self._product(self.weights[-1], flowing, logits)

    def backward(self, inputs: Tensor, hidden: Sequence[Tensor], upstream: Tensor, gradients: Sequence[Tensor]) -> None:
        """Write the gradients of all weights, for `upstream` [P, C, N], the gradient in the logits."""
        for depth in range(len(self.weights) - 1, 0, -1):
            layer, activation = self.weights[depth], hidden[depth - 1]
            torch.bmm(upstream, activation.transpose(1, 2), out=gradients[depth])
            # The biases' row is computed and dropped, which is faster than multiplying by a part of the matrix.
            upstream = torch.bmm(layer.transpose(1, 2), upstream)[:, :-1]
            upstream = torch.ops.aten.threshold_backward(upstream, activation[:, :-1], 0.0)
        rows = upstream.view(self.groups, -1, upstream.shape[-1])
        torch.bmm(rows, inputs, out=gradients[0].view(self.groups, -1, inputs.shape[-1]))

    def _product(self, layer: Tensor, flowing: Tensor, out: Tensor | None = None) -> Tensor:
        """`layer` [P, out, in] times `flowing` [P or groups, in, N], as [P, out, N]."""
        batches = len(flowing)
        made = None if out is None else out.view(batches, -1, out.shape[-1])
        product = torch.bmm(layer.view(batches, -1, layer.shape[-1]), flowing, out=made)
        return product.view(self.places, -1, product.shape[-1])
