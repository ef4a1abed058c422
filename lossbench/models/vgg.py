"""VGG-5 and Spinal-VGG for 28x28 characters (Kabir et al., arXiv 2007.03347).

Ten 3x3 convolutions in four blocks, then a head; the five in the name are the four blocks and the head.
"""

import math

import torch
from torch import Tensor, nn

from lossbench.models.registry import model

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (256, 256, 256))


def _features(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = channels
    for widths in _BLOCKS:
        for width in widths:
            convolution = nn.Conv2d(inputs, width, 3, padding=1)
            # The authors' own initial weights: normal, with deviation sqrt(2 / (9 outputs)).
            nn.init.normal_(convolution.weight, std=math.sqrt(2 / (9 * width)))
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten())


@model("vgg5", "VGG-5, for 28x28 characters", takes="images")
def vgg5(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    head = (nn.Dropout(dropout), nn.Linear(256, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(dropout))
    return nn.Sequential(_features(shape[0]), *head, nn.Linear(512, classes))


class SpinalHead(nn.Module):
    """Four small layers in a row; each sees one half of the features and the output of the layer before it."""

    def __init__(self, features: int, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        half = features // 2
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU())
            for inputs in (half, half + width, half + width, half + width)
        )
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * width, classes))

    def forward(self, x: Tensor) -> Tensor:
        halves = x.chunk(2, dim=1)
        seen: list[Tensor] = []
        for position, layer in enumerate(self.layers):
            seen.append(layer(torch.cat([halves[position % 2], *seen[-1:]], dim=1)))
        logits: Tensor = self.out(torch.cat(seen, dim=1))
        return logits


@model("spinal-vgg", "VGG-5 with a spinal head, for 28x28 characters", takes="images")
def spinal_vgg(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return nn.Sequential(_features(shape[0]), SpinalHead(256, 128, classes, dropout))
