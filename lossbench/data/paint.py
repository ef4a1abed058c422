"""Changing the colours of images, and blanking parts of them."""

import math

import torch
from torch import Tensor

__all__ = ["blank", "boxes", "factors", "recolour"]

_GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in ITU-R 601 luma, as in torchvision
_AREA = (0.02, 0.33)  # share of the image, arXiv 1708.04896
_ASPECT = (0.3, 3.3)  # height over width, as in torchvision


def factors(strength: float, rows: int, random: torch.Generator) -> Tensor:
    """Factors [D, 3] of brightness, contrast and saturation, uniform between 1 - strength and 1 + strength."""
    return 1 + (torch.rand(rows, 3, generator=random) * 2 - 1) * strength


def recolour(images: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, then contrast, then saturation of colour images [N, 3, H, W] with values from 0 to 1.

    As in torchvision, contrast pulls away from the mean grey of the image and saturation from the grey of each pixel.
    """
    # Filled on the device, since a copy to a GPU would wait for all that it still has to do.
    weights = torch.stack([images.new_full((1, 1), weight) for weight in _GREY])
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1, 1).unbind(1)
    images = (images * brightness).clamp(0, 1)
    mean = (images * weights).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    images = (mean + (images - mean) * contrast).clamp(0, 1)
    grey = (images * weights).sum(dim=1, keepdim=True)
    return (grey + (images - grey) * saturation).clamp(0, 1)


def boxes(probability: float, rows: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
    """Rectangles [D, 4] as top, left, bottom, right; empty ones for the rows that are spared.

    Area and the logarithm of the aspect are uniform over their ranges, then the place is; a side longer than the image
    is cut to it.
    """
    height, width = torch.tensor(size, dtype=torch.float32)
    spared, area, aspect, down, across = torch.rand(5, rows, generator=random)
    low, high = map(math.log, _ASPECT)
    area = (_AREA[0] + area * (_AREA[1] - _AREA[0])) * height * width
    aspect = (low + aspect * (high - low)).exp()
    tall = (area * aspect).sqrt().round().clamp(1, height.item())
    wide = (area / aspect).sqrt().round().clamp(1, width.item())
    top = (down * (height - tall + 1)).floor()
    left = (across * (width - wide + 1)).floor()
    drawn = torch.stack([top, left, top + tall, left + wide], dim=1)
    return torch.where((spared < probability)[:, None], drawn, 0.0).long()


def blank(images: Tensor, boxes: Tensor) -> Tensor:
    """Set each image's [N, C, H, W] rectangle to zero."""
    height, width = images.shape[-2:]
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    top, left, bottom, right = boxes[:, :, None].unbind(1)
    inside = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None, :]
    return images.masked_fill(inside[:, None], 0.0)
