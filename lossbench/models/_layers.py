"""Pieces that several architectures share."""

from torch import nn

__all__ = ["convolution", "initialise"]


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, then: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """A convolution that keeps the image's size up to its stride, batch normalisation, and an activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if then is not None:
        layers.append(then())
    return nn.Sequential(*layers)


def initialise(network: nn.Module) -> None:
    """He's normal initial weights for convolutions (arXiv 1502.01852), as torchvision's ResNets have them."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
