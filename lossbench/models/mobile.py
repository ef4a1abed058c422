"""Networks built for small devices, with the strides of their first layers taken out for 32x32 images."""

import torch
from torch import Tensor, nn

from lossbench.models._layers import convolution, initialise
from lossbench.models.registry import model


class ShuffleUnit(nn.Module):
    """Half of the channels pass, the other half are convolved, then both are shuffled (arXiv 1807.11164, figure 3)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        half = width // 2
        self.passes = stride == 1
        self.inner = nn.Sequential(
            convolution(half if self.passes else inputs, half, 1),
            convolution(half, half, 3, stride=stride, groups=half, then=None),
            convolution(half, half, 1),
        )
        self.shortcut: nn.Module = nn.Identity()
        if not self.passes:
            self.shortcut = nn.Sequential(
                convolution(inputs, inputs, 3, stride=stride, groups=inputs, then=None), convolution(inputs, half, 1)
            )

    def forward(self, x: Tensor) -> Tensor:
        kept, moved = x.chunk(2, dim=1) if self.passes else (x, x)
        # Stacking on a new second axis interleaves the two halves, channel by channel.
        return torch.stack([self.shortcut(kept), self.inner(moved)], dim=2).flatten(1, 2)


@model("shufflenet-v2-cifar", "ShuffleNetV2 1x, first two strides taken out, for 32x32 images", takes="images")
def shufflenet_v2(shape: tuple[int, ...], classes: int) -> nn.Module:
    layers: list[nn.Module] = [convolution(shape[0], 24, 3)]
    inputs = 24
    for width, units in ((116, 4), (232, 8), (464, 4)):  # arXiv 1807.11164, table 5, 1x
        for unit in range(units):
            layers.append(ShuffleUnit(inputs, width, stride=1 if unit else 2))
            inputs = width
    return _classifier([*layers, convolution(inputs, 1024, 1)], 1024, classes)


class InvertedResidual(nn.Module):
    """Widen by 1x1, convolve each channel alone, narrow by 1x1 without activation (arXiv 1801.04381, figure 4)."""

    def __init__(self, inputs: int, width: int, stride: int, widening: int) -> None:
        super().__init__()
        inner = inputs * widening
        layers: list[nn.Module] = [convolution(inputs, inner, 1, then=nn.ReLU6)] if widening > 1 else []
        self.layers = nn.Sequential(
            *layers,
            convolution(inner, inner, 3, stride=stride, groups=inner, then=nn.ReLU6),
            convolution(inner, width, 1, then=None),
        )
        self.residual = stride == 1 and inputs == width

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self.residual else out


@model("mobilenet-v2-cifar", "MobileNetV2, first two strides taken out, for 32x32 images", takes="images")
def mobilenet_v2(shape: tuple[int, ...], classes: int) -> nn.Module:
    layers: list[nn.Module] = [convolution(shape[0], 32, 3, then=nn.ReLU6)]
    inputs = 32
    # arXiv 1801.04381, table 2: widening, width, blocks, stride; the strides of the stem and of the second row are 1.
    rows = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for widening, width, blocks, stride in rows:
        for block in range(blocks):
            layers.append(InvertedResidual(inputs, width, 1 if block else stride, widening))
            inputs = width
    return _classifier([*layers, convolution(inputs, 1280, 1, then=nn.ReLU6)], 1280, classes)


def _classifier(layers: list[nn.Module], width: int, classes: int) -> nn.Sequential:
    """The layers, the mean over the image, and a linear layer."""
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
    initialise(network)
    return network
