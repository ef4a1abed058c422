"""Every fast way of computing beside the plain one: the same numbers within the bound that is stated with each."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lossbench import data, losses
from lossbench import trainer as training
from lossbench.data import Dataset
from lossbench.ranks import World
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.trainer import Trainer

IMAGES = DataSpec(name="synthetic-images", validation=0.2, limit=48, normalize="channel", flip=True, crop_padding=2)
SGD = OptimizerSpec(name="sgd", lr=0.001, momentum=0.9, weight_decay=1e-3)
"""Small steps, since batch normalisation over few rows soon makes large differences of small ones."""
WAITS = {"aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select", "aten::equal"}
"""Operations whose result has to reach the host before it can go on."""


def spec(loss: str = "ce", **fields: Any) -> RunSpec:
    settings = {"data": IMAGES, "model": ModelSpec(name="resnet20-cifar"), "optimizer": SGD, "epochs": 2} | fields
    preset = Preset(name="test", batch_size=16, **settings)
    return RunSpec(preset=preset, loss=losses.resolve(loss), seed=0, numbers_version=NUMBERS_VERSION)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return data.load(IMAGES, tmp_path_factory.mktemp("none"))


def records(asked: RunSpec, images: Dataset) -> list[dict[str, float]]:
    return [each[0].values for each in Trainer(asked, images, device="cpu").epochs()]


def assert_near(fast: list[dict[str, float]], plain: list[dict[str, float]], *, rel: float) -> None:
    for one, other in zip(fast, plain, strict=True):
        for name in ("train/objective", "train/gnorm_all", "train/wnorm_all", "test/nll"):
            assert one[name] == pytest.approx(other[name], rel=rel), name


def test_channels_last_differs_from_pixels_row_by_row_by_float32_rounding(images: Dataset) -> None:
    plain = records(spec(), images)
    fast = records(spec(channels_last=True), images)
    assert_near(fast, plain, rel=1e-3)


def test_bf16_differs_from_fp32_by_as_much_as_eight_bits_of_mantissa_do(images: Dataset) -> None:
    plain = records(spec(channels_last=True), images)
    fast = records(spec(channels_last=True, precision="bf16"), images)
    assert fast[0]["train/objective"] != plain[0]["train/objective"]
    assert_near(fast, plain, rel=0.1)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_fused_optimizers_differ_from_plain_ones_by_float32_rounding(
    name: str, images: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spec(optimizer=OptimizerSpec(name=name, lr=0.001, weight_decay=1e-3), model=ModelSpec(name="digits-cnn"))
    fast = records(asked, images)
    for kind in ("SGD", "Adam", "AdamW"):
        plain_kind = getattr(torch.optim, kind)

        def plainly(groups: Any, *, fused: bool, kind: Any = plain_kind, **options: Any) -> Any:
            assert fused
            return kind(groups, foreach=False, **options)

        monkeypatch.setattr(training, kind, plainly)
    assert_near(fast, records(asked, images), rel=1e-4)


def test_evaluation_in_batches_differs_from_all_rows_at_once_by_float32_rounding(
    images: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(spec(), images, device="cpu")
    list(trainer.epochs())
    monkeypatch.setitem(training.EVALUATED_AT_ONCE, "cpu", 7)
    pieces = trainer._logits("test", World())
    monkeypatch.setitem(training.EVALUATED_AT_ONCE, "cpu", len(images.test))
    torch.testing.assert_close(pieces, trainer._logits("test", World()), rtol=1e-4, atol=1e-4)


def test_evaluation_differs_from_the_forward_pass_of_the_trained_network_by_float32_rounding(images: Dataset) -> None:
    trainer = Trainer(spec(), images, device="cpu")
    list(trainer.epochs())
    trainer.model.eval()
    batches = data.evaluation_batches(images, "test", IMAGES, device="cpu", batch_size=1000)
    with torch.inference_mode():
        plain = torch.cat([trainer.model(inputs) for inputs, _ in batches])
    torch.testing.assert_close(trainer._logits("test", World()), plain, rtol=1e-4, atol=1e-4)


def test_batches_hold_the_pixels_that_one_image_at_a_time_gives(images: Dataset) -> None:
    height, width = images.shape[1:]
    views = data.augment.draw(IMAGES, len(images.train), (height, width), seed=3, epoch=1)
    order = data.permutation(len(images.train), seed=3, epoch=1)
    batches = data.batches(images, IMAGES, 16, seed=3, epoch=1, device="cpu")
    fast = torch.cat([inputs for inputs, _ in batches])
    for seen, row in zip(fast, order.tolist(), strict=True):
        top, left = (2 + views.corner[row]).tolist()
        padded = torch.nn.functional.pad(images.train.inputs[row], (2, 2, 2, 2))
        window = padded[:, top : top + height, left : left + width]
        window = window.flip(-1) if views.mirrored[row] else window
        plain = window.float() * images.scale + images.shift
        torch.testing.assert_close(seen, plain, rtol=1e-6, atol=1e-6)


class _Watching(TorchDispatchMode):
    """Notes every operation that a GPU's host would have to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name
        masks = [each for part in args if isinstance(part, list) for each in part if isinstance(each, torch.Tensor)]
        if name in WAITS or (name.startswith("aten::index") and any(each.dtype == torch.bool for each in masks)):
            self.waits.append(name)
        return function(*args, **(kwargs or {}))


@contextmanager
def batches_watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Watching]:
    """Watch what happens between the first and the last batch of every epoch."""
    watching = _Watching()
    real = Trainer._train_batch

    def train_batch(self: Trainer, *args: Any) -> Any:
        with watching:
            return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_batch", train_batch)
        yield watching


@pytest.mark.parametrize("loss", [entry.name for entry in losses.catalogue()] + ["focal:gamma=learned(2)"])
def test_no_step_of_any_loss_waits_for_the_device(loss: str, images: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spec(loss, model=ModelSpec(name="digits-cnn"), epochs=1)
    # A processor's own numbers may be looked at; a GPU's are never at hand.
    monkeypatch.setattr("lossbench.losses._margin._at_hand", lambda _: False)
    with batches_watched(monkeypatch) as watching:
        assert len(records(asked, images)) == 1
    assert watching.waits == []


def test_what_would_wait_is_noticed() -> None:
    with _Watching() as watching:
        numbers = torch.arange(3)
        numbers[numbers > 1].sum().item()
    assert len(watching.waits) == 2


@pytest.mark.parametrize(
    "change",
    [{"flip": True}, {"rotation": 15.0}, {"perspective": 0.5}, {"erasing": 0.5}, {"mixup": 0.4}, {"cutmix": 1.0}],
)
def test_no_augmentation_of_a_batch_waits_for_the_device(change: dict[str, Any], images: Dataset) -> None:
    recipe = dataclasses.replace(IMAGES, **change)
    batches = data.batches(images, recipe, 16, seed=0, epoch=0, device="cpu")
    inputs, target = next(batches)  # what is drawn for the epoch is drawn before its first batch
    with _Watching() as watching:
        for number, (inputs, target) in enumerate(batches):
            data.mix(inputs, target, recipe, seed=0, epoch=0, batch=number)
    assert watching.waits == []
