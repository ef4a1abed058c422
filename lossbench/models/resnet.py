"""Residual networks for 32x32 images, with the first layer that fits them.

ImageNet's 7x7 stride-2 convolution and max-pool would leave a 32x32 image 8x8 before the first block; here the stem
is one 3x3 convolution of stride 1 and no pool, as in the CIFAR repositories the literature compares with.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lossbench.models._layers import convolution, initialise
from lossbench.models.registry import model

Block = Callable[[int, int, int], nn.Module]
"""Input width, output width and stride to a block."""


class ProjectedBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a 1x1 convolution takes the shortcut where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            convolution(inputs, width, 3, stride=stride), convolution(width, width, 3, then=None)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = convolution(inputs, width, 1, stride=stride, then=None)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.inner(x) + self.shortcut(x))


class PaddedBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without weights (option A of arXiv 1512.03385, section 4.2).

    Where the shape changes, the shortcut keeps every second pixel and fills the new channels with zeros, half of them
    before and half behind the old ones.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            convolution(inputs, width, 3, stride=stride), convolution(width, width, 3, then=None)
        )
        self.stride = stride
        self.missing = width - inputs

    def forward(self, x: Tensor) -> Tensor:
        before = self.missing // 2
        kept = x[:, :, :: self.stride, :: self.stride]
        return torch.relu(self.inner(x) + nn.functional.pad(kept, (0, 0, 0, 0, before, self.missing - before)))


class PreactivatedBlock(nn.Module):
    """Normalisation and ReLU before each convolution, so that the shortcut stays clean (arXiv 1603.05027)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.inner = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
        )
        self.projection = nn.Conv2d(inputs, width, 1, stride, bias=False) if stride != 1 or inputs != width else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.first(x)
        shortcut = x if self.projection is None else self.projection(active)
        out: Tensor = self.inner(active) + shortcut
        return out


class BottleneckBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions beside a shortcut (ResNeXt, arXiv 1611.05431, figure 3c)."""

    def __init__(self, inputs: int, width: int, stride: int, *, groups: int, inner_width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            convolution(inputs, inner_width, 1),
            convolution(inner_width, inner_width, 3, stride=stride, groups=groups),
            convolution(inner_width, width, 1, then=None),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = convolution(inputs, width, 1, stride=stride, then=None)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.inner(x) + self.shortcut(x))


class ResNet(nn.Module):
    """A 3x3 stem, stages of blocks that halve the image between them, the mean over what is left, a linear layer."""

    def __init__(
        self,
        stem: nn.Module,
        stem_width: int,
        classes: int,
        *,
        block: Block,
        blocks: Sequence[int],
        widths: Sequence[int],
        last: nn.Module | None = None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem = stem
        stages: list[nn.Module] = []
        inputs = stem_width
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for number in range(count):
                stages.append(block(inputs, width, 2 if stage and not number else 1))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.last = last or nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        features = self.last(self.stages(self.stem(x))).mean(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(features))
        return logits


@model("resnet18-cifar", "ResNet-18 with a 3x3 stem, for 32x32 images", takes="images")
def resnet18(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _wide(shape, classes, (2, 2, 2, 2), dropout)


@model("resnet34-cifar", "ResNet-34 with a 3x3 stem, for 32x32 images", takes="images")
def resnet34(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _wide(shape, classes, (3, 4, 6, 3), dropout)


@model("resnet20-cifar", "ResNet-20 of the CIFAR experiments, shortcuts without weights", takes="images")
def resnet20(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _narrow(shape, classes, 20, dropout)


@model("resnet32-cifar", "ResNet-32 of the CIFAR experiments, shortcuts without weights", takes="images")
def resnet32(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _narrow(shape, classes, 32, dropout)


@model("resnet44-cifar", "ResNet-44 of the CIFAR experiments, shortcuts without weights", takes="images")
def resnet44(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _narrow(shape, classes, 44, dropout)


@model("resnet110-cifar", "ResNet-110 of the CIFAR experiments, shortcuts without weights", takes="images")
def resnet110(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _narrow(shape, classes, 110, dropout)


@model("preact-resnet18-cifar", "pre-activation ResNet-18 with a 3x3 stem, for 32x32 images", takes="images")
def preact_resnet18(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return ResNet(
        nn.Conv2d(shape[0], 64, 3, 1, 1, bias=False),
        64,
        classes,
        block=PreactivatedBlock,
        blocks=(2, 2, 2, 2),
        widths=(64, 128, 256, 512),
        last=nn.Sequential(nn.BatchNorm2d(512), nn.ReLU()),
        dropout=dropout,
    )


@model("resnext29-2x64d-cifar", "ResNeXt-29 with 2 groups of width 64, for 32x32 images", takes="images")
def resnext29_2x64d(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _grouped(shape, classes, groups=2, group_width=64, dropout=dropout)


@model("resnext29-8x64d-cifar", "ResNeXt-29 with 8 groups of width 64, for 32x32 images", takes="images")
def resnext29_8x64d(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    return _grouped(shape, classes, groups=8, group_width=64, dropout=dropout)


def _wide(shape: tuple[int, ...], classes: int, blocks: Sequence[int], dropout: float) -> ResNet:
    """The four-stage network of the ImageNet experiments behind a 3x3 stem."""
    return ResNet(
        convolution(shape[0], 64, 3),
        64,
        classes,
        block=ProjectedBlock,
        blocks=blocks,
        widths=(64, 128, 256, 512),
        dropout=dropout,
    )


def _narrow(shape: tuple[int, ...], classes: int, depth: int, dropout: float) -> ResNet:
    """The three-stage network of arXiv 1512.03385, section 4.2; its depth is 6 n + 2."""
    count = (depth - 2) // 6
    return ResNet(
        convolution(shape[0], 16, 3),
        16,
        classes,
        block=PaddedBlock,
        blocks=(count,) * 3,
        widths=(16, 32, 64),
        dropout=dropout,
    )


def _grouped(shape: tuple[int, ...], classes: int, *, groups: int, group_width: int, dropout: float) -> ResNet:
    """The three-stage ResNeXt of arXiv 1611.05431, section 5.3."""

    def block(inputs: int, width: int, stride: int) -> nn.Module:
        return BottleneckBlock(inputs, width, stride, groups=groups, inner_width=groups * group_width * width // 256)

    return ResNet(
        convolution(shape[0], 64, 3),
        64,
        classes,
        block=block,
        blocks=(3, 3, 3),
        widths=(256, 512, 1024),
        dropout=dropout,
    )
