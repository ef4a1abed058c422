"""Compiled beside plain training on the real compiler, and what happens when that fails."""

from pathlib import Path

import pytest
import torch

from lossbench import compiling, data, losses
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.trainer import Trainer

pytestmark = pytest.mark.slow

SPEC = RunSpec(
    preset=Preset(
        name="test",
        data=DataSpec(name="synthetic-images", limit=60, normalize="channel", flip=True),
        model=ModelSpec(name="digits-cnn"),
        optimizer=OptimizerSpec(name="sgd", lr=0.02, momentum=0.9),
        epochs=3,
        batch_size=16,
    ),
    loss=losses.resolve("adaptive"),
    seed=0,
    numbers_version=NUMBERS_VERSION,
)


def test_compiled_training_stays_near_plain_training_and_resumes_exactly(tmp_path) -> None:
    dataset = data.load(SPEC.preset.data, tmp_path)
    plain = [record[0].values for record in Trainer(SPEC, dataset, device="cpu").epochs()]
    trainer = Trainer(SPEC, dataset, device="cpu", compile=True)
    assert (trainer.compiled, trainer.uncompiled) == (True, "")
    epochs = trainer.epochs()
    fast = [next(epochs)[0].values]
    state = trainer.state()
    fast += [record[0].values for record in epochs]
    # The same sums in another order: float32 rounding, grown over three epochs of twelve steps.
    for one, other in zip(fast, plain, strict=True):
        assert one["train/objective"] == pytest.approx(other["train/objective"], rel=1e-4)
        assert one["test/nll"] == pytest.approx(other["test/nll"], rel=1e-3)
    again = Trainer(SPEC, dataset, device="cpu", compile=True)
    again.load(state)
    resumed = [record[0].values for record in again.epochs()]
    assert [each["test/nll"] for each in resumed] == [each["test/nll"] for each in fast[1:]]


def test_a_run_begun_without_compiling_goes_on_without(tmp_path) -> None:
    dataset = data.load(SPEC.preset.data, tmp_path)
    plain = Trainer(SPEC, dataset, device="cpu")
    next(plain.epochs())
    trainer = Trainer(SPEC, dataset, device="cpu", compile=True)
    trainer.load(plain.state())
    assert not trainer.compiled


def test_where_the_compiler_fails_training_goes_on_from_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("/bin/false",))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made, why = compiling.compiled(model, torch.randn(4, 3), torch.enable_grad)
    assert made is None
    assert why
    assert "\n" not in why
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(weight.grad is None for weight in model.parameters())
