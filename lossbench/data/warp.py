"""Turning and tilting images, by one bilinear resampling for both.

Maps act on places (x, y, 1) with the centre of the image at 0 and its edges at -1 and 1, and lead from the picture to
the image it is taken from. What is drawn follows torchvision's `RandomRotation` and `RandomPerspective`.
"""

import math

import torch
from torch import Tensor

__all__ = ["perspectives", "resample", "rotations"]


def rotations(degrees: float, rows: int, random: torch.Generator) -> Tensor:
    """Maps [D, 3, 3] of square images turned by an angle uniform between -degrees and degrees."""
    angle = (torch.rand(rows, generator=random) * 2 - 1) * math.radians(degrees)
    maps = torch.eye(3).repeat(rows, 1, 1)
    maps[:, 0, 0] = maps[:, 1, 1] = angle.cos()
    maps[:, 0, 1] = -angle.sin()
    maps[:, 1, 0] = angle.sin()
    return maps


def perspectives(distortion: float, rows: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
    """Maps [D, 3, 3] that pull, for half of the rows, every corner inwards by whole pixels.

    The shift of a corner is uniform from 0 to `distortion` times half the image, along each axis on its own.
    """
    height, width = size
    furthest = torch.tensor([int(distortion * (width // 2)), int(distortion * (height // 2))])
    pixels = (torch.rand(rows, 4, 2, generator=random) * (furthest + 1)).floor()
    pixels[torch.rand(rows, generator=random) >= 0.5] = 0
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    inwards = 2 * pixels / torch.tensor([width, height])
    return _projective(corners * (1 - inwards), corners.expand(rows, -1, -1))


def _projective(source: Tensor, target: Tensor) -> Tensor:
    """The maps [D, 3, 3] that take four places [D, 4, 2] to four others.

    Each pair gives two equations in the eight free entries of the map, whose last entry is 1.
    """
    x, y = source.double().unbind(-1)
    u, v = target.double().unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    first = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    second = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    entries = torch.linalg.solve(torch.cat([first, second], dim=1), torch.cat([u, v], dim=1))
    return torch.cat([entries, one[:, :1]], dim=1).view(-1, 3, 3).float()


def resample(images: Tensor, maps: Tensor) -> Tensor:
    """Look up every pixel of the pictures [N, C, H, W] in the images, bilinearly; the outside is zero."""
    height, width = images.shape[-2:]
    y = (torch.arange(height, device=images.device) * 2 + 1) / height - 1
    x = (torch.arange(width, device=images.device) * 2 + 1) / width - 1
    places = torch.stack(
        [x.expand(height, -1), y[:, None].expand(-1, width), torch.ones_like(x).expand(height, -1)], -1
    )
    found = torch.einsum("nij,hwj->nhwi", maps, places)
    grid = found[..., :2] / found[..., 2:]
    return torch.nn.functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
