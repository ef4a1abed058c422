"""The loop: bit-exact resume, pairing by seed, divergence, and what a record holds."""

import dataclasses
import hashlib
import itertools
import math
import random
from functools import partial

import pytest
import torch

from lossbench import data, losses
from lossbench.data import Dataset
from lossbench.errors import UsageError
from lossbench.measures import MEASURES, SPEED
from lossbench.randomness import seed_for
from lossbench.schedules import Clock
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.trainer import Trainer, _check_layout

IMAGES = DataSpec(name="synthetic-images", validation=0.2, limit=60, normalize="channel", flip=True, crop_padding=1)
SGD = OptimizerSpec(name="sgd", lr=0.05, momentum=0.9, weight_decay=1e-3, schedule="step(2,0.5)")
CNN = ModelSpec(name="digits-cnn", dropout=0.3)
CLOCKED = {f"train/{name}" for name in SPEED}
EVERY_LOSS = [entry.name for entry in losses.catalogue()]
LEARNED = ["focal:gamma=learned(2)", "min-ent:base1=learned(2)", "sce:alpha=learned(0.5)"]


def spec(loss: str = "ce", seed: int = 0, **fields) -> RunSpec:
    settings = {"data": IMAGES, "model": CNN, "optimizer": SGD, "epochs": 6, "batch_size": 16} | fields
    return RunSpec(
        preset=Preset(name="test", **settings), loss=losses.resolve(loss), seed=seed, numbers_version=NUMBERS_VERSION
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Dataset:
    return data.load(IMAGES, tmp_path_factory.mktemp("none"))


def trainer(images: Dataset, *args, **fields) -> Trainer:
    return Trainer(spec(*args, **fields), images, device="cpu")


def numbers(records) -> list[dict[str, float]]:
    return [{name: value for name, value in record[0].values.items() if name not in CLOCKED} for record in records]


def digest(state) -> str:
    """One hash of everything in a state, order and bits."""
    match state:
        case torch.Tensor():
            return hashlib.sha256(state.contiguous().numpy().tobytes()).hexdigest()
        case dict():
            return digest([[name, digest(value)] for name, value in state.items()])
        case list() | tuple():
            return hashlib.sha256("".join(map(digest, state)).encode()).hexdigest()
        case _:
            return repr(state)


def assert_resumes_exactly(make, at: int) -> None:
    straight = make()
    expected = numbers(straight.epochs())
    first = make()
    before = numbers(itertools.islice(first.epochs(), at))
    state = first.state()
    torch.manual_seed(99)
    second = make()
    second.load(state)
    after = numbers(second.epochs())
    assert before + after == expected
    assert digest(second.state()) == digest(straight.state())
    assert second.predictions() == straight.predictions()


@pytest.mark.parametrize("loss", EVERY_LOSS + LEARNED)
def test_resume_is_bit_exact_for_every_loss(images, loss):
    assert_resumes_exactly(lambda: trainer(images, loss), at=3)


def test_resume_is_bit_exact_when_pictures_are_blended(images):
    blended = DataSpec(name="synthetic-images", validation=0.2, normalize="channel", flip=True, mixup=0.4, cutmix=1.0)
    settings = spec("ce", data=blended, model=ModelSpec(name="digits-cnn"), epochs=4)
    assert_resumes_exactly(lambda: Trainer(settings, images, device="cpu"), at=2)
    plain = spec(
        "ce", data=dataclasses.replace(blended, mixup=0.0, cutmix=0.0), model=ModelSpec(name="digits-cnn"), epochs=4
    )
    one, other = ([*Trainer(each, images, device="cpu").epochs()] for each in (settings, plain))
    assert one[0][0].values["train/objective"] != other[0][0].values["train/objective"]


@pytest.fixture
def two_steps(monkeypatch) -> str:
    """A loss of two forward passes and two optimizers, the first with a knob that can be learned."""

    def sharpness(logits, target, *, gamma):
        return losses.build("focal")(logits, target) * gamma

    def spread(logits, target, *, gamma):
        return torch.logsumexp(logits, 1) / logits.shape[1]

    entry = losses.Loss(name="two", steps=(sharpness, spread), knobs={"gamma": losses.get("focal").knobs["gamma"]})
    losses.catalogue()
    monkeypatch.setitem(losses._registry._REGISTRY, "two", entry)
    return "two:gamma=learned(2)"


def test_resume_is_bit_exact_with_two_steps(images, two_steps):
    assert_resumes_exactly(lambda: trainer(images, two_steps), at=3)
    assert len(trainer(images, two_steps).state()["members"][0]["optimizers"]) == 2


def test_each_step_has_a_forward_pass_and_an_optimizer_of_its_own(images, two_steps):
    plain = DataSpec(name="synthetic-images", validation=0.2, limit=60, normalize="channel")
    settings = spec(two_steps, data=plain, model=ModelSpec(name="digits-cnn"), batch_size=1000, epochs=2)
    running, reference = Trainer(settings, images, device="cpu"), Trainer(settings, images, device="cpu")
    first, second = (
        torch.optim.SGD([*reference.model.parameters()], lr=0.05, momentum=0.9, weight_decay=1e-3) for _ in range(2)
    )
    knob = reference.objective.raw["gamma"]
    knobs = [torch.optim.SGD([knob], lr=0.05, momentum=0.9) for _ in range(2)]
    list(running.epochs())
    steps = reference.objective.steps(Clock(epoch=0, epochs=2))
    for epoch in range(2):
        ((inputs, target),) = data.batches(images, plain, 1000, seed=0, epoch=epoch, device="cpu")
        for step, weights, learned in zip(steps, (first, second), knobs, strict=True):
            weights.zero_grad()
            learned.zero_grad()
            step(reference.model(inputs), target).mean().backward()
            weights.step()
            learned.step()
    for ours, plainly in zip(running.model.parameters(), reference.model.parameters(), strict=True):
        torch.testing.assert_close(ours, plainly)
    torch.testing.assert_close(running.objective.raw["gamma"], knob)


@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerSpec(name="sgd", lr=0.05, momentum=0.9, nesterov=True),
        OptimizerSpec(name="adam", lr=0.01, weight_decay=0.01),
        OptimizerSpec(name="adamw", lr=0.01, weight_decay=0.01, schedule="cosine(1,0)"),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_resume_is_bit_exact_for_every_optimizer(images, optimizer):
    assert_resumes_exactly(lambda: trainer(images, optimizer=optimizer), at=1)


@pytest.mark.parametrize("fields", [{"precision": "bf16"}, {"channels_last": True}], ids=str)
def test_resume_is_bit_exact_in_other_numerics(images, fields):
    assert_resumes_exactly(lambda: trainer(images, epochs=2, **fields), at=1)


def test_states_are_copies_that_later_epochs_leave_alone(images):
    running = trainer(images)
    epochs = running.epochs()
    next(epochs)
    state = running.state()
    before = digest(state)
    next(epochs)
    assert digest(state) == before
    assert digest(running.state()) != before


def test_runs_of_one_seed_share_weights_batches_and_augmentation(images, monkeypatch):
    def seen_by(loss: str, seed: int) -> str:
        hashes = []
        real = data.batches

        def batches(*args, **options):
            for inputs, target in real(*args, **options):
                hashes.append(digest([inputs, target]))
                yield inputs, target

        with monkeypatch.context() as patch:
            patch.setattr(data, "batches", batches)
            running = trainer(images, loss, seed=seed, epochs=2)
            hashes.append(digest(running.model.state_dict()))
            list(running.epochs())
        return digest(hashes)

    same = {seen_by(loss, 0) for loss in ["ce", "focal", "min-ent", "expectation"]}
    assert len(same) == 1
    assert seen_by("ce", 1) not in same


def test_a_run_is_its_seeds_alone_whatever_was_drawn_before(images):
    first = numbers(trainer(images, epochs=2).epochs())
    torch.rand(1000)
    assert numbers(trainer(images, epochs=2).epochs()) == first
    assert numbers(trainer(images, epochs=2, seed=1).epochs()) != first


def test_training_leaves_the_global_generator_alone(images):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(trainer(images, epochs=1).epochs())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_record_holds_every_measure(images):
    (record,) = trainer(images, "focal:gamma=learned(2)", epochs=1).epochs()
    stored = {name.partition("/")[2] for name in record[0].values if not name.startswith("loss/")}
    assert stored == MEASURES.keys() - {"top5_err"}  # four classes
    assert {name.partition("/")[0] for name in record[0].values} == {"train", "val", "test", "loss"}
    assert "loss/gamma" in record[0].values


def test_the_record_of_an_epoch_by_hand(images):
    # One batch of all rows, no dropout, no augmentation: one gradient step, computed here with plain autograd.
    plain = DataSpec(name="synthetic-images", validation=0.2, limit=60, normalize="channel")
    settings = spec(data=plain, model=ModelSpec(name="digits-cnn"), batch_size=1000, epochs=1, optimizer=SGD)
    running = Trainer(settings, images, device="cpu")
    reference = Trainer(settings, images, device="cpu").model
    ((inputs, target),) = data.batches(images, plain, 1000, seed=0, epoch=0, device="cpu")
    logits = reference(inputs)
    loss = torch.nn.functional.cross_entropy(logits, target)
    loss.backward()
    gradients = [parameter.grad for parameter in reference.parameters()]
    (record,) = [each[0] for each in running.epochs()]
    expected = {
        "train/objective": loss.item(),
        "train/nll": loss.item(),
        "train/top1_acc": (logits.argmax(1) == target).double().mean().item(),
        "train/gnorm_all": math.sqrt(sum(each.square().sum().item() for each in gradients)),
        "train/gnorm_last": gradients[-2].norm().item(),
        "train/lr": 0.05,
    }
    assert {name: record.values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    weights = math.sqrt(sum(each.square().sum().item() for each in running.model.parameters()))
    assert record.values["train/wnorm_all"] == pytest.approx(weights, rel=1e-5)


def test_learned_knobs_move_and_are_recorded(images):
    gammas = [record[0].values["loss/gamma"] for record in trainer(images, "focal:gamma=learned(2)").epochs()]
    assert len(set(gammas)) == len(gammas)


def test_the_learning_rate_follows_its_schedule(images):
    rates = [record[0].values["train/lr"] for record in trainer(images).epochs()]
    assert rates == [0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125]


@pytest.mark.parametrize("asked", [0, 1, 5])
def test_stopping_abandons_the_epoch_under_way(images, asked):
    running = trainer(images)
    calls = itertools.count()
    records = list(running.epochs(stop=lambda: next(calls) >= asked))
    batches = math.ceil(len(images.train) / 16)
    assert len(records) == running.epoch == asked // batches


def test_a_loss_that_is_not_finite_ends_training_and_keeps_the_finite_epochs(images):
    wild = OptimizerSpec(name="sgd", lr=0.05, schedule="milestones(1e30,2)")
    running = trainer(images, optimizer=wild)
    records = list(running.epochs())
    assert len(records) == 2
    assert all(math.isfinite(value) for record in records for value in record[0].values.values())
    assert list(running.diverged) == [0]
    assert running.diverged[0].endswith("in epoch 3")
    assert list(running.epochs()) == []


def test_predictions_agree_with_the_last_record(images):
    running = trainer(images, epochs=2)
    *_, last = running.epochs()
    kept = running.predictions()[0]
    assert kept["label"] == images.test.target.tolist()
    hits = sum(rank == 0 for rank in kept["rank"]) / len(kept["rank"])
    assert hits == last[0].values["test/top1_acc"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_redrawn_learning_rate_changes_after_every_epoch_without_a_rise_and_resumes_exactly(images, split):
    optimizer = dataclasses.replace(SGD, schedule="1", redraw=split)
    records = [record[0].values for record in trainer(images, optimizer=optimizer).epochs()]
    best, expected = -math.inf, SGD.lr
    for epoch, values in enumerate(records, start=1):
        assert values["train/lr"] == expected
        if values[f"{split}/top1_acc"] > best:
            best = values[f"{split}/top1_acc"]
        else:
            expected = SGD.lr * random.Random(seed_for(0, "redraw", epoch)).random() ** 3
    assert expected < SGD.lr  # it was redrawn at least once
    assert_resumes_exactly(lambda: trainer(images, optimizer=optimizer), at=4)


@pytest.mark.parametrize(("rows", "batch_size", "refused"), [(5, 4, True), (5, 1, True), (5, 3, False), (4, 4, False)])
def test_a_batch_of_one_row_is_refused_where_features_are_normalised_over_rows(images, rows, batch_size, refused):
    random_images = torch.randint(256, (rows, 1, 28, 28), dtype=torch.uint8)
    split = data.Split(inputs=random_images, target=torch.arange(rows) % 4)
    few = dataclasses.replace(
        images, train=split, val=split, test=split, shift=images.shift[:1], scale=images.scale[:1]
    )
    plain = DataSpec(name="synthetic-images")
    asked = spec(model=ModelSpec(name="vgg5"), batch_size=batch_size, epochs=1, data=plain)
    if refused:
        with pytest.raises(UsageError, match=f"would have one row.*{rows} training rows, batch_size={batch_size}"):
            Trainer(asked, few, device="cpu")
    else:
        asked = dataclasses.replace(
            asked, preset=dataclasses.replace(asked.preset, optimizer=dataclasses.replace(SGD, schedule="1"))
        )
        assert len(list(Trainer(asked, few, device="cpu").epochs())) == 1


def test_a_layout_that_crashes_is_refused_before_it_does():
    narrow = torch.nn.Sequential(torch.nn.Conv2d(8, 16, 1, stride=2))
    with pytest.raises(UsageError, match="8 channels, fewer than 16"):
        _check_layout(narrow, torch.device("cpu"))
    _check_layout(narrow, torch.device("cuda"))
    for sound in (torch.nn.Conv2d(16, 32, 1, stride=2), torch.nn.Conv2d(8, 16, 1), torch.nn.Conv2d(8, 16, 3, stride=2)):
        _check_layout(sound, torch.device("cpu"))


def test_a_compiled_pass_trains_to_the_same_numbers(images, monkeypatch):
    # This backend captures the network and runs it as it is: no C++ compiler is needed, and no bit differs.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    settings = spec(epochs=1)
    captured = Trainer(settings, images, device="cpu", compile=True)
    assert captured.compiled
    assert numbers(captured.epochs()) == numbers(Trainer(settings, images, device="cpu").epochs())
