"""Flips and crops: the same pixels as a plain loop would take, and the distribution they are drawn from."""

import itertools

import pytest
import torch
from scipy.stats import chisquare

from lossbench.data import augment
from lossbench.data.augment import Views
from lossbench.spec import DataSpec

PADDING = 2


def reference(image: torch.Tensor, top: int, left: int, mirrored: bool) -> torch.Tensor:
    """One image at a time: pad with zeros, cut the window out, flip it."""
    height, width = image.shape[1:]
    padded = torch.nn.functional.pad(image, (PADDING,) * 4)
    window = padded[:, PADDING + top : PADDING + top + height, PADDING + left : PADDING + left + width]
    return window.flip(-1) if mirrored else window


@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 4, 6)])
def test_every_view_takes_the_pixels_a_plain_loop_takes(shape):
    offsets = range(-PADDING, PADDING + 1)
    combinations = list(itertools.product(offsets, offsets, (False, True)))
    images = torch.randint(1, 256, (len(combinations), *shape), dtype=torch.uint8)
    top, left, mirrored = (torch.tensor(column) for column in zip(*combinations, strict=True))
    seen = augment.gather(images, Views(top=top, left=left, mirrored=mirrored))
    expected = torch.stack([reference(image, *each) for image, each in zip(images, combinations, strict=True)])
    assert seen.dtype == torch.uint8
    assert torch.equal(seen, expected)


def test_corners_and_flips_are_drawn_uniformly_and_independently():
    views = augment.draw(DataSpec(name="x", flip=True, crop_padding=4), 100_000, seed=3, epoch=1)
    cell = ((views.top + 4) * 9 + views.left + 4) * 2 + views.mirrored
    assert chisquare(torch.bincount(cell, minlength=162)).pvalue > 1e-3


def test_switching_the_flip_off_leaves_the_crops_as_they_were():
    both = augment.draw(DataSpec(name="x", flip=True, crop_padding=4), 50, seed=0, epoch=0)
    crop = augment.draw(DataSpec(name="x", crop_padding=4), 50, seed=0, epoch=0)
    flip = augment.draw(DataSpec(name="x", flip=True), 50, seed=0, epoch=0)
    assert torch.equal(both.top, crop.top)
    assert torch.equal(both.left, crop.left)
    assert torch.equal(both.mirrored, flip.mirrored)
    assert not crop.mirrored.any()
    assert not flip.top.any()


def test_a_recipe_without_augmentation_draws_nothing():
    assert augment.draw(DataSpec(name="x"), 50, seed=0, epoch=0) is None
