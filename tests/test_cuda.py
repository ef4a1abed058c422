"""What only a GPU can show: the same numbers as on the CPU, captured passes, and steps that wait for nothing."""

import dataclasses
import itertools

import pytest
import torch

from lossbench import data
from lossbench.data import Dataset
from lossbench.devices import Idle
from lossbench.spec import ModelSpec
from lossbench.trainer import Trainer
from tests.test_fast_paths import IMAGES, assert_near, spec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

RECIPES = {
    "fp32": {},
    "bf16": {"precision": "bf16", "channels_last": True},
    "every augmentation": {"data": dataclasses.replace(IMAGES, rotation=15.0, erasing=0.5, mixup=0.4, cutmix=1.0)},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return data.load(IMAGES, tmp_path_factory.mktemp("none"))


@pytest.mark.parametrize(("recipe", "rel"), [("fp32", 1e-2), ("bf16", 0.1), ("every augmentation", 1e-2)])
def test_a_gpu_computes_what_the_cpu_does(recipe: str, rel: float, images: Dataset) -> None:
    # Convolutions in fp32 run in TF32 there, with ten bits of mantissa.
    here, there = (
        [each[0].values for each in Trainer(spec(**RECIPES[recipe]), images, device=device).epochs()]
        for device in ("cpu", "cuda")
    )
    assert_near(there, here, rel=rel)


@pytest.mark.parametrize("recipe", ["fp32", "bf16"])
def test_captured_passes_train_as_plain_ones_and_resume(recipe: str, images: Dataset) -> None:
    asked = spec(**RECIPES[recipe], epochs=4)
    plain = [each[0].values for each in Trainer(asked, images, device="cuda").epochs()]
    trainer = Trainer(asked, images, device="cuda", compile=True)
    assert (trainer.compiled, trainer.uncompiled) == (True, "")
    epochs = trainer.epochs()
    before = [each[0].values for each in itertools.islice(epochs, 2)]
    state = trainer.state()
    after = [each[0].values for each in epochs]
    assert_near(before + after, plain, rel=1e-3 if recipe == "fp32" else 0.1)
    again = Trainer(asked, images, device="cuda", compile=True)
    again.load(state)
    assert_near([each[0].values for each in again.epochs()], after, rel=1e-3 if recipe == "fp32" else 0.1)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
def test_no_batch_of_an_epoch_waits_for_the_device(
    recipe: str, compile: bool, images: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(spec(**RECIPES[recipe]), images, device="cuda", compile=compile)
    real = Trainer._batches

    def batches(self: Trainer, *args: object) -> object:
        made = real(self, *args)
        yield next(made)  # what is drawn for the epoch travels before its first batch
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield from made
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Trainer, "_batches", batches)
    assert len(list(trainer.epochs())) == 2


def test_two_losses_of_one_seed_see_the_same_weights_and_batches(images: Dataset) -> None:
    one, other = (
        Trainer(spec(loss, model=ModelSpec(name="digits-cnn")), images, device="cuda") for loss in ("ce", "focal")
    )
    for left, right in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(left, right)
    for left, right in zip(one._batches(0, Idle(one.device)), other._batches(0, Idle(one.device)), strict=True):
        assert all(torch.equal(*pair) for pair in zip(left[1][0], right[1][0], strict=True))
