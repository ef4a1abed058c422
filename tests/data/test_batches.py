"""Batches: every row once, an order and views that only seed and epoch decide, inputs normalised as the recipe says."""

from pathlib import Path

import pytest
import torch

from lossbench import data
from lossbench.data import augment
from lossbench.spec import DataSpec

NOWHERE = Path("/nonexistent")
SIZE = (8, 8)
IMAGES = DataSpec(name="synthetic-images", normalize="channel", flip=True, crop_padding=2)


def epoch_of(spec: DataSpec, *, batch_size: int = 64, seed: int = 0, epoch: int = 0):
    """All training inputs and targets of one epoch."""
    dataset = data.load(spec, NOWHERE)
    parts = list(data.batches(dataset, spec, batch_size, seed=seed, epoch=epoch, device="cpu"))
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def test_an_epoch_visits_every_row_once_in_the_order_of_the_permutation():
    spec = DataSpec(name="synthetic")
    dataset = data.load(spec, NOWHERE)
    inputs, target = epoch_of(spec, batch_size=7, seed=2, epoch=5)
    order = data.permutation(len(dataset.train), seed=2, epoch=5)
    assert sorted(order.tolist()) == list(range(len(dataset.train)))
    assert torch.equal(inputs, dataset.train.inputs[order])
    assert torch.equal(target, dataset.train.target[order])


def test_seed_and_epoch_decide_an_epoch_and_the_batch_size_does_not():
    first = epoch_of(IMAGES, batch_size=64)
    for same in (epoch_of(IMAGES, batch_size=64), epoch_of(IMAGES, batch_size=11)):
        assert torch.equal(first[0], same[0])
        assert torch.equal(first[1], same[1])
    for other in (epoch_of(IMAGES, epoch=1), epoch_of(IMAGES, seed=1)):
        assert not torch.equal(first[1], other[1])


def test_the_last_batch_is_shorter_and_not_dropped():
    dataset = data.load(IMAGES, NOWHERE)
    sizes = [len(target) for _, target in data.batches(dataset, IMAGES, 128, seed=0, epoch=0, device="cpu")]
    assert sizes == [128, 128, len(dataset.train) - 256]


@pytest.mark.parametrize("normalize", ["none", "channel", "pixel-mean"])
def test_evaluation_normalises_and_keeps_the_order(normalize):
    spec = DataSpec(name="synthetic-images", normalize=normalize, flip=True, crop_padding=2)
    dataset = data.load(spec, NOWHERE)
    train = dataset.train.inputs.double() / 255
    shift, scale = {
        "none": (0.0, 1.0),
        "channel": (train.mean(dim=(0, 2, 3), keepdim=True), train.std(dim=(0, 2, 3), keepdim=True, correction=0)),
        "pixel-mean": (train.mean(dim=0, keepdim=True), 1.0),
    }[normalize]
    parts = data.evaluation_batches(dataset, "test", spec, device="cpu", batch_size=33)
    inputs, target = (torch.cat(column) for column in zip(*parts, strict=True))
    expected = (dataset.test.inputs.double() / 255 - shift) / scale
    torch.testing.assert_close(inputs.double(), expected, atol=1e-5, rtol=0)
    assert torch.equal(target, dataset.test.target)


def test_a_mean_image_is_subtracted_before_cropping_and_leaves_a_border_of_zero():
    spec = DataSpec(name="synthetic-images", normalize="pixel-mean", flip=True, crop_padding=2)
    dataset = data.load(spec, NOWHERE)
    inputs, _ = epoch_of(spec)
    order = data.permutation(len(dataset.train), seed=0, epoch=0)
    views = augment.draw(spec, len(dataset.train), SIZE, seed=0, epoch=0).take(order)
    centred = (dataset.train.inputs[order].double() / 255 + dataset.shift.double()).float()
    torch.testing.assert_close(inputs, augment.gather(centred, views.corner, views.mirrored), atol=1e-6, rtol=0)
    lowered = views.corner[:, 0] == 2  # the window hangs two rows below the image
    assert lowered.any()
    assert not inputs[lowered][:, :, -2:].any()


def test_channel_statistics_come_after_cropping_and_leave_a_black_border():
    dataset = data.load(IMAGES, NOWHERE)
    inputs, _ = epoch_of(IMAGES)
    order = data.permutation(len(dataset.train), seed=0, epoch=0)
    lowered = augment.draw(IMAGES, len(dataset.train), SIZE, seed=0, epoch=0).take(order).corner[:, 0] == 2
    border = inputs[lowered][:, :, -2:]
    torch.testing.assert_close(border, dataset.shift.expand_as(border))


def test_every_change_at_once_gives_finite_pictures_that_the_batch_size_does_not_decide():
    spec = DataSpec(
        name="synthetic-images",
        normalize="channel",
        flip=True,
        crop_padding=1,
        rotation=5.0,
        perspective=0.3,
        jitter=0.2,
        erasing=0.5,
    )
    one, other = epoch_of(spec, batch_size=64)[0], epoch_of(spec, batch_size=11)[0]
    assert one.isfinite().all()
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert not torch.equal(one, epoch_of(spec, epoch=1)[0])


def test_a_split_that_is_not_held_out_has_no_batches():
    dataset = data.load(IMAGES, NOWHERE)
    assert list(data.evaluation_batches(dataset, "val", IMAGES, device="cpu", batch_size=8)) == []
