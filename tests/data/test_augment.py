"""Augmentation: the same pixels as a plain loop or torchvision would give, and the distribution of what is drawn."""

import itertools

import pytest
import torch
from scipy.stats import chisquare, kstest

from lossbench.data import augment, paint, warp
from lossbench.spec import DataSpec

PADDING = 2
SIZE = (32, 32)
CHANGES = {"crop_padding": 4, "flip": True, "rotation": 10.0, "perspective": 0.5, "jitter": 0.4, "erasing": 0.5}
PARTS = {"crop_padding": "corner", "flip": "mirrored", "jitter": "colour", "erasing": "box"}


def reference(image: torch.Tensor, top: int, left: int, mirrored: bool) -> torch.Tensor:
    """One image at a time: pad with zeros, cut the window out, flip it."""
    height, width = image.shape[1:]
    padded = torch.nn.functional.pad(image, (PADDING,) * 4)
    window = padded[:, PADDING + top : PADDING + top + height, PADDING + left : PADDING + left + width]
    return window.flip(-1) if mirrored else window


@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 4, 6)])
def test_every_crop_and_flip_takes_the_pixels_a_plain_loop_takes(shape):
    offsets = range(-PADDING, PADDING + 1)
    combinations = list(itertools.product(offsets, offsets, (False, True)))
    images = torch.randint(1, 256, (len(combinations), *shape), dtype=torch.uint8)
    top, left, mirrored = (torch.tensor(column) for column in zip(*combinations, strict=True))
    seen = augment.gather(images, torch.stack([top, left], dim=1), mirrored)
    expected = torch.stack([reference(image, *each) for image, each in zip(images, combinations, strict=True)])
    assert seen.dtype == torch.uint8
    assert torch.equal(seen, expected)


def test_corners_and_flips_are_drawn_uniformly_and_independently():
    views = augment.draw(DataSpec(name="x", flip=True, crop_padding=4), 100_000, SIZE, seed=3, epoch=1)
    top, left = (views.corner + 4).unbind(1)
    assert chisquare(torch.bincount((top * 9 + left) * 2 + views.mirrored, minlength=162)).pvalue > 1e-3


@pytest.mark.parametrize("change", PARTS)
def test_switching_other_changes_off_leaves_one_as_it_was(change):
    every = augment.draw(DataSpec(name="x", **CHANGES), 50, SIZE, seed=0, epoch=0)
    alone = augment.draw(DataSpec(name="x", **{change: CHANGES[change]}), 50, SIZE, seed=0, epoch=0)
    assert torch.equal(getattr(every, PARTS[change]), getattr(alone, PARTS[change]))
    assert [part for part in (*PARTS.values(), "warp") if getattr(alone, part) is not None] == [PARTS[change]]


def test_a_recipe_without_augmentation_draws_nothing():
    assert augment.draw(DataSpec(name="x"), 50, SIZE, seed=0, epoch=0) is None


def test_angles_are_uniform_and_maps_turn_the_picture_as_torchvision_does():
    functional = pytest.importorskip("torchvision.transforms.functional")
    maps = warp.rotations(30.0, 2000, torch.Generator().manual_seed(0))
    angles = torch.atan2(maps[:, 1, 0], maps[:, 0, 0]).rad2deg()
    assert kstest(angles, "uniform", args=(-30, 60)).pvalue > 1e-3
    images = torch.rand(4, 3, 16, 16)
    expected = [
        functional.rotate(image, angle.item(), functional.InterpolationMode.BILINEAR)
        for image, angle in zip(images, angles, strict=False)
    ]
    torch.testing.assert_close(warp.resample(images, maps[:4]), torch.stack(expected), atol=1e-5, rtol=0)


def test_a_tilt_takes_corners_inwards_for_half_of_the_rows():
    maps = warp.perspectives(0.5, 4000, (28, 20), torch.Generator().manual_seed(0))
    untouched = (maps - torch.eye(3)).abs().amax(dim=(1, 2)) < 1e-5
    assert 0.46 < untouched.double().mean() < 0.54
    inverse = maps[~untouched].double().inverse()
    corner = inverse @ torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)  # where the upper left corner went
    x, y = (corner[:, :2] / corner[:, 2:]).unbind(1)
    across, down = (x + 1) / 2 * 20, (y + 1) / 2 * 28
    for pixels, furthest in ((across, 5), (down, 7)):
        whole = pixels.round()
        torch.testing.assert_close(pixels, whole, atol=1e-3, rtol=0)
        assert chisquare(torch.bincount(whole.long(), minlength=furthest + 1)).pvalue > 1e-3


def test_the_identity_map_leaves_images_as_they_are():
    images = torch.rand(2, 3, 9, 12)
    torch.testing.assert_close(warp.resample(images, torch.eye(3).repeat(2, 1, 1)), images, atol=1e-5, rtol=0)


def test_colours_change_as_in_torchvision():
    functional = pytest.importorskip("torchvision.transforms.functional")
    images = torch.rand(6, 3, 8, 8)
    strengths = paint.factors(0.4, 6, torch.Generator().manual_seed(0))
    assert strengths.min() >= 0.6
    assert strengths.max() <= 1.4
    expected = []
    for image, (brightness, contrast, saturation) in zip(images, strengths.tolist(), strict=True):
        image = functional.adjust_contrast(functional.adjust_brightness(image, brightness), contrast)
        expected.append(functional.adjust_saturation(image, saturation))
    torch.testing.assert_close(paint.recolour(images, strengths), torch.stack(expected), atol=1e-3, rtol=0)


def test_blanked_boxes_have_the_asked_sizes_and_frequency():
    boxes = paint.boxes(0.3, 20_000, SIZE, torch.Generator().manual_seed(0))
    top, left, bottom, right = boxes.unbind(1)
    area = (bottom - top) * (right - left)
    drawn = area > 0
    assert 0.28 < drawn.double().mean() < 0.32
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (bottom <= 32).all()
    assert (right <= 32).all()
    share = area[drawn].double() / 1024
    assert share.min() > 0.01
    assert share.max() < 0.36
    assert share.mean() == pytest.approx((0.02 + 0.33) / 2, abs=0.01)


def test_a_blanked_box_is_zero_and_nothing_else_is():
    images = torch.rand(2, 3, 8, 8) + 1
    seen = paint.blank(images, torch.tensor([[1, 2, 4, 8], [0, 0, 0, 0]]))
    assert torch.equal(seen[1], images[1])
    assert (seen[0] == 0).sum() == 3 * 3 * 6
    assert not seen[0, :, 1:4, 2:].any()
