"""A convolutional network for 8x8 digits."""

from torch import nn

from lossbench.errors import UsageError
from lossbench.models.registry import model


@model("digits-cnn", "two 3x3 convolutions and a linear layer, for images of 8x8", takes="images")
def digits_cnn(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    channels, height, width = shape
    if height < 4 or width < 4:
        raise UsageError(f"model digits-cnn needs images of at least 4x4, got {height}x{width}")
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(64 * (height // 4) * (width // 4), classes),
    )
