"""Random flips and crops of a whole batch of images at once.

Both are one choice of source pixels, so a batch costs one gather, on whatever device the images live. What is drawn
belongs to a training row and an epoch, never to a batch: another batch size or another loss sees the same pictures.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lossbench.data.splits import generator
from lossbench.spec import DataSpec

__all__ = ["Views", "draw", "gather"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Views:
    """How each training row is seen in one epoch.

    `top` and `left` [D] say where the window begins, relative to the unpadded image, from -padding to padding;
    `mirrored` [D] says whether the window is then flipped left to right.
    """

    top: Tensor
    left: Tensor
    mirrored: Tensor

    def take(self, rows: Tensor) -> "Views":
        return Views(top=self.top[rows], left=self.left[rows], mirrored=self.mirrored[rows])

    def to(self, device: torch.device | str) -> "Views":
        return Views(top=self.top.to(device), left=self.left.to(device), mirrored=self.mirrored.to(device))


def draw(spec: DataSpec, rows: int, *, seed: int, epoch: int) -> Views | None:
    """The views of all training rows in that epoch; None where the recipe asks for neither flips nor crops."""
    if not spec.flip and not spec.crop_padding:
        return None
    padding = spec.crop_padding
    # Flips and crops have streams of their own, so that switching one off leaves the other as it was.
    corner = torch.randint(-padding, padding + 1, (2, rows), generator=generator(seed, "augment", epoch, "crop"))
    mirrored = torch.zeros(rows, dtype=torch.bool)
    if spec.flip:
        mirrored = torch.rand(rows, generator=generator(seed, "augment", epoch, "flip")) < 0.5
    return Views(top=corner[0], left=corner[1], mirrored=mirrored)


def gather(images: Tensor, views: Views) -> Tensor:
    """See each image [N, C, H, W] through its view; what lies outside the image is zero."""
    count, channels, height, width = images.shape
    across = torch.arange(width, device=images.device)
    y = torch.arange(height, device=images.device) + views.top[:, None]  # [N, H]
    x = torch.where(views.mirrored[:, None], width - 1 - across, across) + views.left[:, None]  # [N, W]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    # Position height * width holds the zero that every pixel outside the image reads.
    source = torch.where(inside, y[:, :, None] * width + x[:, None, :], height * width).view(count, 1, -1)
    flat = torch.nn.functional.pad(images.flatten(2), (0, 1))
    return flat.gather(2, source.expand(-1, channels, -1)).view_as(images)
