"""Residual networks for 32x32 images (He et al., arXiv 1512.03385), with the first layer that fits them.

ImageNet's 7x7 stride-2 convolution and max-pool would leave a 32x32 image 8x8 before the first block; here the stem
is one 3x3 convolution of stride 1 and no pool, as in the CIFAR repositories the literature compares with.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lossbench.models.registry import model

__all__ = ["BasicBlock", "ResNet", "initialise"]


def initialise(network: nn.Module) -> None:
    """He's normal initial weights for convolutions (arXiv 1502.01852), as torchvision's ResNets have them."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a 1x1 convolution takes the shortcut where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """A 3x3 stem, stages of blocks that halve the image between them, the mean over what is left, a linear layer."""

    def __init__(self, channels: int, classes: int, *, blocks: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        stages: list[nn.Module] = []
        inputs = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for block in range(count):
                stages.append(BasicBlock(inputs, width, stride=2 if stage and not block else 1))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(self.stem(x)).mean(dim=(2, 3)))
        return logits


@model("resnet18-cifar", "ResNet-18 with a 3x3 stem, for 32x32 images", takes="images")
def resnet18(shape: tuple[int, ...], classes: int) -> nn.Module:
    return ResNet(shape[0], classes, blocks=(2, 2, 2, 2), widths=(64, 128, 256, 512))
