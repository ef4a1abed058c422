"""Training statistics, and the affine map they make of raw inputs."""

import numpy as np
import torch
from torch import Tensor

from lossbench.errors import UsageError
from lossbench.spec import DataSpec

__all__ = ["for_features", "for_images"]

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def for_features(spec: DataSpec, train: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale [F] of features, from the training rows [D, F]; a constant feature is only shifted.

    Raises:
        UsageError: the recipe asks for a normalisation that only images have.
    """
    if spec.normalize == "none":
        return torch.zeros(train.shape[1]), torch.ones(train.shape[1])
    if spec.normalize != "feature":
        raise UsageError(f"data.normalize={spec.normalize} needs images; {spec.name} has features: use feature or none")
    wide = train.double()
    deviation, mean = torch.std_mean(wide, dim=0, correction=0)
    scale = torch.where(deviation > 0, 1 / deviation, 1.0)
    return (-mean * scale).float(), scale.float()


def for_images(spec: DataSpec, train: Tensor | None, *, channels: int) -> tuple[Tensor, Tensor]:
    """Shift and scale of images, from the training bytes [D, C, H, W], None where those are not in memory.

    Pixels are fractions of 255 first, as in torchvision's `ToTensor`. `channel` gives mean 0 and deviation 1 per
    channel, shapes [C, 1, 1], as `imagenet` would on ImageNet; `pixel-mean` subtracts the mean image [C, H, W] and
    divides by nothing.

    Raises:
        UsageError: the recipe asks for a normalisation that only features have, or for statistics of rows that are
            not in memory.
    """
    if spec.normalize == "none":
        return torch.zeros(channels, 1, 1), torch.full((channels, 1, 1), 1 / 255)
    if spec.normalize == "imagenet":
        if channels != len(_IMAGENET_MEAN):
            raise UsageError(f"data.normalize=imagenet needs colour images; {spec.name} has {channels} channel(s)")
        return _affine(torch.tensor(_IMAGENET_MEAN).double(), torch.tensor(_IMAGENET_DEVIATION).double())
    if spec.normalize not in ("channel", "pixel-mean"):
        raise UsageError(
            f"data.normalize={spec.normalize} needs features; {spec.name} has images: use channel, pixel-mean, "
            "imagenet or none"
        )
    if train is None:
        raise UsageError(
            f"data.normalize={spec.normalize} needs every pixel at once; {spec.name} is read from its files: use "
            "imagenet or none"
        )
    if spec.normalize == "pixel-mean":
        # numpy sums bytes into integers ten times faster than torch does.
        mean_image = torch.from_numpy(train.numpy().sum(axis=0, dtype=np.int64)).double() / len(train)
        return (-mean_image / 255).float(), torch.full((channels, 1, 1), 1 / 255)
    # A byte has 256 values, so a histogram gives both moments exactly and without a float copy of the images.
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([torch.bincount(train[:, channel].flatten(), minlength=256) for channel in range(channels)])
    weights = counts.double() / counts.sum(dim=1, keepdim=True)
    mean = weights @ values
    return _affine(mean, (weights @ values.square() - mean.square()).clamp_min(0).sqrt())


def _affine(mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale [C, 1, 1] that give bytes of that mean and deviation [C], as fractions of 255, mean 0 and 1."""
    scale = torch.where(deviation > 0, 1 / deviation, 1.0)
    return (-mean * scale).float().view(-1, 1, 1), (scale / 255).float().view(-1, 1, 1)
