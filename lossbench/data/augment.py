"""Random changes to a whole batch of training images at once, on whatever device the images live.

What is drawn belongs to a training row and an epoch, never to a batch: another batch size or another loss sees the
same pictures. Every kind of change has a stream of its own, so that switching one off leaves the others as they were.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from lossbench.data import paint, warp
from lossbench.data.splits import generator
from lossbench.spec import DataSpec

__all__ = ["Views", "draw", "gather", "network_input"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Views:
    """How each training row is seen in one epoch; None for a kind of change that the recipe does not ask for."""

    corner: Tensor | None = None
    """Where the window begins, down and across [D, 2], relative to the image: from -padding to padding."""
    mirrored: Tensor | None = None
    """Whether the window is then flipped left to right [D]."""
    warp: Tensor | None = None
    """From places in the picture to places in the image, as projective maps [D, 3, 3]."""
    colour: Tensor | None = None
    """Factors of brightness, contrast and saturation [D, 3]."""
    box: Tensor | None = None
    """Top, left, bottom and right of what is blanked [D, 4]."""

    def take(self, rows: Tensor) -> "Views":
        """The views of those rows, on the device of the row numbers."""
        parts = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return Views(**{name: part if part is None else part[rows] for name, part in parts.items()})

    def to(self, device: torch.device | str) -> "Views":
        parts = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return Views(**{name: part if part is None else part.to(device) for name, part in parts.items()})


def draw(spec: DataSpec, rows: int, size: tuple[int, int], *, seed: int, epoch: int) -> Views | None:
    """The views of all training rows, images of `size` (height, width), in that epoch; None without augmentation."""
    if not spec.augmented:
        return None

    def stream(kind: str) -> torch.Generator:
        return generator(seed, "augment", epoch, kind)

    views = Views()
    if spec.crop_padding:
        padding = spec.crop_padding
        corner = torch.randint(-padding, padding + 1, (rows, 2), generator=stream("crop"))
        views = dataclasses.replace(views, corner=corner)
    if spec.flip:
        views = dataclasses.replace(views, mirrored=torch.rand(rows, generator=stream("flip")) < 0.5)
    if spec.rotation or spec.perspective:
        turned = warp.rotations(spec.rotation, rows, stream("rotation"))
        pulled = warp.perspectives(spec.perspective, rows, size, stream("perspective"))
        # A place in the picture is first turned back, then pushed back outwards: the image was pulled, then turned.
        views = dataclasses.replace(views, warp=pulled @ turned)
    if spec.jitter:
        views = dataclasses.replace(views, colour=paint.factors(spec.jitter, rows, stream("jitter")))
    if spec.erasing:
        views = dataclasses.replace(views, box=paint.boxes(spec.erasing, rows, size, stream("erasing")))
    return views


def network_input(images: Tensor, shift: Tensor, scale: Tensor, views: Views | None) -> Tensor:
    """Bytes [N, C, H, W] to normalised floats, seen through the views.

    A mean image, a shift of [C, H, W], is subtracted first, so it moves with the pixels and what lies outside the image
    is exactly zero. Channel statistics come last, as in torchvision's recipes, so there the outside is black.
    """
    if views is None:
        return images.float().mul_(scale).add_(shift)
    moves_with_pixels = shift.shape[-1] > 1
    seen = images.float().mul_(scale).add_(shift) if moves_with_pixels else images
    if views.corner is not None or views.mirrored is not None:
        seen = gather(seen, views.corner, views.mirrored)
    if views.warp is not None:
        seen = warp.resample(seen.float(), views.warp)
    if views.colour is not None:
        seen = paint.recolour(seen.float() / 255, views.colour) * 255
    if not moves_with_pixels:
        seen = seen.float().mul_(scale).add_(shift)
    return seen if views.box is None else paint.blank(seen, views.box)


def gather(images: Tensor, corner: Tensor | None, mirrored: Tensor | None) -> Tensor:
    """Crop and flip each image [N, C, H, W] by one choice of source pixels; what lies outside the image is zero."""
    count, channels, height, width = images.shape
    y = torch.arange(height, device=images.device).expand(count, -1)  # [N, H]
    x = torch.arange(width, device=images.device).expand(count, -1)  # [N, W]
    if mirrored is not None:
        x = torch.where(mirrored[:, None], width - 1 - x, x)
    if corner is not None:
        y, x = y + corner[:, :1], x + corner[:, 1:]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    # Position height * width holds the zero that every pixel outside the image reads.
    source = torch.where(inside, y[:, :, None] * width + x[:, None, :], height * width).view(count, 1, -1)
    flat = torch.nn.functional.pad(images.flatten(2), (0, 1))
    return flat.gather(2, source.expand(-1, channels, -1)).view_as(images)
