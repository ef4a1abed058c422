"""A cohort trains what its members would train alone: bit for bit whoever is beside them, and equal to autograd."""

import dataclasses
import io
import math
from collections.abc import Sequence

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from lossbench import cohort, data, losses, models
from lossbench.cohort._compiled import CompiledNetwork
from lossbench.cohort._network import Shape
from lossbench.cohort._stacked import StackedNetwork
from lossbench.cohort.cohort import Cohort
from lossbench.data import Dataset, Split
from lossbench.measures import SPEED
from lossbench.objective import Objective
from lossbench.schedules import Clock, parse
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec

LINEAR = ModelSpec(name="linear")
HIDDEN = ModelSpec(name="mlp", hidden=(16,))
DEEP = ModelSpec(name="mlp", hidden=(70, 9))

LOSSES = ("ce", "el", "ce-el", "ce-el:focus=0.3", "adaptive", "focal:gamma=1.5", "gce:q=0.4", "poly1", "mae")
SEVERAL_KINDS = (*LOSSES, "label-smoothing", "min-ent", "sce", "bce", "focal:gamma=learned(2)", "cot")


def made_up(rows: int, features: int, classes: int, *, held_out: int = 53, seed: int = 0) -> Dataset:
    """Overlapping clouds, with validation and test rows."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, features, generator=random)

    def split(count: int) -> Split:
        target = torch.randint(classes, (count,), generator=random)
        return Split(inputs=centres[target] + torch.randn(count, features, generator=random), target=target)

    return Dataset(
        name="made-up",
        kind="features",
        train=split(rows),
        val=split(held_out),
        test=split(held_out + 8),
        classes=classes,
        class_names=tuple(map(str, range(classes))),
    )


def cell(
    loss: str = "ce",
    seed: int = 0,
    *,
    model: ModelSpec = LINEAR,
    epochs: int = 6,
    batch_size: int = 8,
    **optimizer: object,
) -> RunSpec:
    options = {"name": "sgd", "lr": 0.1, "momentum": 0.9, **optimizer}
    preset = Preset(
        name="made-up",
        data=DataSpec(name="made-up"),
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=OptimizerSpec(**options),
    )
    return RunSpec(preset=preset, loss=losses.resolve(loss), seed=seed, numbers_version=NUMBERS_VERSION)


def varied(
    count: int,
    *,
    model: ModelSpec,
    names: Sequence[str] = LOSSES,
    batch_size: int = 8,
    epochs: int = 6,
    nesterov: bool = False,
) -> list[RunSpec]:
    """Runs that differ in everything that members of a cohort may differ in, seeds unevenly."""
    return [
        cell(
            names[at % len(names)],
            seed=(at * at) % 5,
            model=model,
            epochs=epochs,
            batch_size=batch_size,
            lr=(0.3, 0.03, 0.1)[at % 3],
            momentum=(0.9, 0.4 if nesterov else 0.0)[at % 2],
            nesterov=nesterov,
            weight_decay=(0.0, 1e-3)[at // 2 % 2],
            schedule=("1", "cosine(1,0)", "step(2,0.5)")[at // 3 % 3],
        )
        for at in range(count)
    ]


def outcome(
    specs: Sequence[RunSpec], dataset: Dataset, *, dtype: torch.dtype = torch.float32, network=CompiledNetwork
) -> list[dict[str, object]]:
    """Everything a cohort says of each member, but for times and memory: records, final state and predictions."""
    trained = Cohort(specs, dataset, device="cpu", dtype=dtype, network=network)
    records = [untimed(record) for record in trained.epochs()]
    predictions, state = trained.predictions(), trained.state()
    return [
        {
            "records": [record.get(member) for record in records],
            "state": listed(state["members"][member]),
            "predictions": predictions.get(member),
            "diverged": trained.diverged.get(member),
        }
        for member in range(len(specs))
    ]


def untimed(record):
    costs = {f"train/{name}" for name in SPEED}
    return {
        member: {name: value for name, value in metrics.values.items() if name not in costs}
        for member, metrics in record.items()
    }


def listed(value):
    """Tensors as the exact texts of their numbers, so that == compares bits and NaN equals NaN."""
    match value:
        case torch.Tensor():
            return (tuple(value.shape), value.contiguous().numpy().tobytes())
        case dict():
            return {name: listed(each) for name, each in value.items()}
        case list():
            return [listed(each) for each in value]
        case _:
            return value


@pytest.mark.parametrize("text", ["ce", "el", "mae", "ce-el", "ce-el:focus=0.5", "ce-el:focus=0.2,normalize=area"])
def test_a_loss_declared_as_a_mixture_is_one(text):
    entry, sources = losses.sources(losses.resolve(text))
    knobs = {knob: losses.value_at(source, Clock(epoch=0, epochs=1)) for knob, source in sources.items()}
    true = losses.at_probability(torch.linspace(0.01, 0.99, 50, dtype=torch.float64))
    alpha, beta = entry.mixture(**knobs)
    value, weight = entry.curve(true, **knobs)
    torch.testing.assert_close(value, alpha * true.ce + beta * true.not_p)
    torch.testing.assert_close(torch.as_tensor(weight).expand_as(value).double(), alpha + beta * true.p)


SHAPES = [
    pytest.param(LINEAR, 101, 5, 3, 8, id="linear-last-batch-5"),
    pytest.param(LINEAR, 65, 33, 11, 16, id="linear-11-classes-last-batch-1"),
    pytest.param(HIDDEN, 97, 16, 3, 8, id="hidden-last-batch-1"),
    pytest.param(DEEP, 60, 7, 2, 32, id="deep-2-classes"),
    pytest.param(ModelSpec(name="mlp", hidden=(90, 90)), 200, 40, 4, 4, id="deep-many-blocks"),
]


@pytest.mark.parametrize(("model", "rows", "features", "classes", "batch_size"), SHAPES)
def test_company_changes_no_bit(model, rows, features, classes, batch_size):
    dataset = made_up(rows, features, classes)
    specs = varied(36, model=model, batch_size=batch_size, epochs=3)
    together = outcome(specs, dataset)
    random = torch.Generator().manual_seed(1)
    for count in (1, 1, 2, 3, 5, 18, 36):
        chosen = torch.randperm(len(specs), generator=random)[:count].tolist()
        smaller = outcome([specs[member] for member in chosen], dataset)
        for member, alone in zip(chosen, smaller, strict=True):
            assert alone == together[member], f"{specs[member].loss} in a cohort of {count}"


@pytest.mark.parametrize("model", [LINEAR, DEEP], ids=["linear", "deep"])
def test_company_changes_no_bit_of_the_batched_form_either(model):
    dataset = made_up(75, 9, 3)
    specs = varied(len(SEVERAL_KINDS), model=model, names=SEVERAL_KINDS, epochs=2)
    together = outcome(specs, dataset, network=StackedNetwork)
    assert together[::-1] == outcome(specs[::-1], dataset, network=StackedNetwork)
    for members in ([3], [14], [12, 0, 14, 5, 7]):
        alone = outcome([specs[member] for member in members], dataset, network=StackedNetwork)
        assert alone == [together[member] for member in members]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4)], ids=["float64", "float32"]
)
@pytest.mark.parametrize(("model", "rows", "features", "classes", "batch_size"), SHAPES[:4])
def test_machine_code_and_batched_products_agree(model, rows, features, classes, batch_size, dtype, tolerance):
    dataset = made_up(rows, features, classes)
    specs = [
        dataclasses.replace(spec, preset=dataclasses.replace(spec.preset, epochs=3))
        for spec in varied(len(SEVERAL_KINDS), model=model, names=SEVERAL_KINDS, batch_size=batch_size)
    ]
    forms = [
        Cohort(specs, dataset, device="cpu", dtype=dtype, network=network)
        for network in (CompiledNetwork, StackedNetwork)
    ]
    for records in zip(*(form.epochs() for form in forms), strict=True):
        for member, spec in enumerate(specs):
            compiled, batched = (untimed(record)[member] for record in records)
            for name in compiled.keys() - {"test/ece15", "val/ece15"}:  # a row that moves to another bin moves it much
                assert compiled[name] == pytest.approx(batched[name], rel=tolerance, abs=tolerance), (spec.loss, name)
    for one, other in zip(*(form.state()["members"] for form in forms), strict=True):
        for kind in ("weights", "velocities", "raw"):
            torch.testing.assert_close(one[kind], other[kind], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-15), (torch.float32, 3e-7)])
def test_what_losses_see_is_exact_at_every_confidence(dtype, digits):
    gaps = torch.tensor([0.0, 1e-6, 0.1, 3.0, 20.0, 80.0])
    logits = torch.cat([torch.tensor([[0.0, 0.5, 1.0]]) + gap * torch.eye(3)[[at]] for gap in gaps for at in range(3)])
    target = torch.tensor([0, 1, 2]).repeat_interleave(len(logits))
    logits = logits.repeat(3, 1).to(dtype)
    shape = Shape(widths=(3, 3), batch=len(logits), steps=1, nesterov=False, dtype=dtype, device=torch.device("cpu"))
    network = CompiledNetwork(shape, CompiledNetwork.training(logits, target), [0], [0.0], [0.0])
    network.put(0, [torch.cat([torch.eye(3), torch.zeros(3, 1)], 1)])
    seen = []

    def bind(scores):
        def differentiate(step):
            seen.append([each[0].clone() for each in (*scores.true, scores.residual, scores.logits)])

        return differentiate

    network.train(torch.arange(len(logits)).view(1, 1, -1), bind)
    ((ce, p, not_p, residual, of_rows),) = seen
    assert torch.equal(of_rows, logits)
    exact, exact_residual = losses.true_class_and_residual(logits.double(), target)
    for mine, wanted in zip((ce, p, not_p, residual), (*exact, exact_residual), strict=True):
        torch.testing.assert_close(mine.double(), wanted.reshape(mine.shape), rtol=10 * digits, atol=0)


def test_the_comparison_above_sees_the_smallest_difference():
    first, second = outcome([cell(lr=0.1), cell(lr=0.1 + 1e-7)], made_up(40, 4, 3))
    assert first != second


def test_other_kinds_of_loss_change_no_bit_either():
    dataset = made_up(60, 6, 4)
    specs = varied(2 * len(SEVERAL_KINDS), model=HIDDEN, names=SEVERAL_KINDS)
    together = outcome(specs, dataset)
    assert together[::-1] == outcome(specs[::-1], dataset)
    for member in (4, 9, 10, 11, 12, 13, 14):
        assert outcome([specs[member]], dataset)[0] == together[member], str(specs[member].loss)


@pytest.mark.parametrize("network", [CompiledNetwork, StackedNetwork])
@pytest.mark.parametrize("model", [LINEAR, DEEP], ids=lambda model: model.name)
def test_company_changes_no_bit_under_nesterov_momentum(model, network):
    dataset = made_up(53, 6, 4)
    specs = varied(2 * len(SEVERAL_KINDS), model=model, names=SEVERAL_KINDS, epochs=3, nesterov=True)
    together = outcome(specs, dataset, network=network)
    assert together[::-1] == outcome(specs[::-1], dataset, network=network)
    for members in ([1], [13, 14], [29, 0, 12]):
        alone = outcome([specs[member] for member in members], dataset, network=network)
        assert alone == [together[member] for member in members]


@pytest.mark.parametrize("model", [LINEAR, HIDDEN], ids=lambda model: model.name)
def test_a_cohort_of_hundreds_changes_no_bit(model):
    dataset = made_up(331, 16, 3)
    specs = varied(217, model=model, epochs=2, names=("ce", "el", "adaptive", "focal"))
    together = outcome(specs, dataset)
    for member in (0, 100, 216):
        assert outcome([specs[member]], dataset)[0] == together[member]


def test_threads_change_no_bit():
    dataset = made_up(90, 30, 10, held_out=700)
    specs = varied(9, model=DEEP, epochs=2)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(outcome(specs, dataset))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


def sequential(spec: RunSpec, dataset: Dataset) -> tuple[nn.Module, list[dict[str, float]], torch.Tensor]:
    """The same run as any PyTorch script would do it, in float64: the network, its records and knobs."""
    preset = spec.preset
    network = models.build(preset.model, dataset.shape, dataset.classes, seed=spec.seed).double()
    objective = Objective(spec.loss, target=dataset.train.target, classes=dataset.classes).double()
    schedule = parse(preset.optimizer.schedule)

    def optimizer() -> torch.optim.SGD:
        given = preset.optimizer
        groups = [{"params": network.parameters()}, *objective.param_groups(given.lr)]
        return torch.optim.SGD(
            groups, given.lr, momentum=given.momentum, weight_decay=given.weight_decay, nesterov=given.nesterov
        )

    records = []
    optimizers = None
    for epoch in range(preset.epochs):
        clock = Clock(epoch=epoch, epochs=preset.epochs)
        steps = objective.steps(clock)
        optimizers = optimizers or [optimizer() for _ in steps]
        lr = preset.optimizer.lr * schedule(clock)
        sums = dict.fromkeys(("objective", "nll", "top1_acc", "gnorm_all", "gnorm_last"), 0.0)
        order = data.permutation(len(dataset.train), seed=spec.seed, epoch=epoch)
        visits = torch.split(order, preset.batch_size)
        for rows in visits:
            for at, (step, each) in enumerate(zip(steps, optimizers, strict=True)):
                for group, wanted in zip(each.param_groups, [{"lr": lr}, *objective.param_groups(lr)], strict=True):
                    group["lr"] = wanted["lr"]
                logits, target = network(dataset.train.inputs[rows].double()), dataset.train.target[rows]
                values = step(logits, target)
                each.zero_grad()
                values.mean().backward()
                gradients = [weight.grad for weight in network.parameters()]
                sums["objective"] += float(values.detach().sum()) / len(order)
                sums["gnorm_all"] += (
                    math.sqrt(sum(float(each.square().sum()) for each in gradients)) / len(visits) / len(steps)
                )
                sums["gnorm_last"] += float(gradients[-2].norm()) / len(visits) / len(steps)
                if at == 0:
                    sums["nll"] += float(nn.functional.cross_entropy(logits.detach(), target, reduction="sum")) / len(
                        order
                    )
                    sums["top1_acc"] += float((logits.argmax(1) == target).sum()) / len(order)
                each.step()
        sums["wnorm_all"] = float(parameters_to_vector(network.parameters()).detach().norm())
        knobs = {f"loss/{knob}": value for knob, value in objective.values(clock).items()}
        records.append({f"train/{name}": value for name, value in sums.items()} | {"train/lr": lr} | knobs)
    return network, records


@pytest.mark.parametrize(
    ("model", "nesterov"), [(LINEAR, True), (HIDDEN, False), (DEEP, True)], ids=["linear", "hidden", "deep"]
)
def test_full_trainings_equal_sequential_autograd_in_float64(model, nesterov):
    dataset = made_up(90, 12, 4)
    specs = [
        cell(
            loss, seed=at % 3, model=model, epochs=8, batch_size=16, lr=(0.1, 0.02)[at % 2], momentum=0.9 - 0.05 * at,
            weight_decay=1e-3 * (at % 2), nesterov=nesterov, schedule=("1", "cosine(1,0)")[at % 2],
        )
        for at, loss in enumerate(SEVERAL_KINDS)
    ]  # fmt: skip
    trained = Cohort(specs, dataset, device="cpu", dtype=torch.float64)
    records = list(trained.epochs())
    for member, spec in enumerate(specs):
        network, expected = sequential(spec, dataset)
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        for mine, layer in zip(trained.state()["members"][member]["weights"], layers, strict=True):
            torch.testing.assert_close(mine[:, :-1], layer.weight.detach(), rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(mine[:, -1], layer.bias.detach(), rtol=1e-12, atol=1e-12)
        for record, wanted in zip(records, expected, strict=True):
            for name, value in wanted.items():
                assert record[member].values[name] == pytest.approx(value, rel=1e-11, abs=1e-12), (spec.loss, name)


@pytest.mark.parametrize("model", [LINEAR, HIDDEN, DEEP], ids=["linear", "hidden", "deep"])
def test_initial_weights_are_those_of_the_model(model):
    dataset = made_up(20, 6, 3)
    specs = [cell("ce", seed, model=model) for seed in (3, 0, 3, 7)]
    members = Cohort(specs, dataset, device="cpu").state()["members"]
    for spec, member in zip(specs, members, strict=True):
        network = models.build(model, dataset.shape, dataset.classes, seed=spec.seed)
        flat = torch.cat([torch.cat([layer[:, :-1].flatten(), layer[:, -1]]) for layer in member["weights"]])
        assert torch.equal(flat, parameters_to_vector(network.parameters()).detach())


@pytest.mark.parametrize("model", [LINEAR, DEEP], ids=["linear", "deep"])
def test_resuming_a_part_of_a_cohort_in_another_order_changes_no_bit(model):
    dataset = made_up(45, 6, 3)
    specs = varied(len(SEVERAL_KINDS), model=model, names=SEVERAL_KINDS)
    whole = outcome(specs, dataset)
    first = Cohort(specs, dataset, device="cpu")
    running = first.epochs()
    for _ in range(3):
        next(running)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    next(running)
    saved = torch.load(file, weights_only=True)
    chosen = [13, 2, 14, 10, 3, 9]
    rest = Cohort([specs[member] for member in chosen], dataset, device="cpu")
    rest.load({"epoch": saved["epoch"], "members": [saved["members"][member] for member in chosen]})
    records = [untimed(record) for record in rest.epochs()]
    for at, member in enumerate(chosen):
        assert [record[at] for record in records] == whole[member]["records"][3:]
        assert listed(rest.state()["members"][at]) == whole[member]["state"]


def test_a_diverging_member_is_reported_and_leaves_its_neighbours_alone():
    dataset = made_up(60, 5, 3)
    dataset = dataclasses.replace(dataset, train=Split(inputs=dataset.train.inputs * 1e4, target=dataset.train.target))
    calm = [cell("ce", seed, model=HIDDEN, lr=1e-6) for seed in (0, 1)]
    wild = cell("ce", 0, model=HIDDEN, lr=1e30)
    expected = outcome(calm, dataset)
    trained = Cohort([calm[0], wild, calm[1]], dataset, device="cpu")
    records = [untimed(record) for record in trained.epochs()]
    assert set(trained.diverged) == {1}
    assert trained.diverged[1].endswith(("became nan in epoch 1", "became inf in epoch 1"))
    assert set(trained.predictions()) == {0, 2}
    for member, at in ((0, 0), (2, 1)):
        assert [record[member] for record in records] == expected[at]["records"]
        assert all(1 not in record for record in records)


def test_a_cohort_that_has_wholly_diverged_ends():
    dataset = made_up(60, 5, 3)
    dataset = dataclasses.replace(dataset, train=Split(inputs=dataset.train.inputs * 1e30, target=dataset.train.target))
    trained = Cohort([cell(lr=1e30), cell(lr=1e29)], dataset, device="cpu")
    assert sum(map(len, trained.epochs())) == 0
    assert set(trained.diverged) == {0, 1}
    assert trained.predictions() == {}


def test_stopping_reports_no_half_epoch():
    dataset = made_up(300, 5, 3)
    trained = Cohort([cell()], dataset, device="cpu")
    asked = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 4

    # An epoch of 38 batches is three blocks: two long ones, and the last batch of four rows.
    assert len(list(trained.epochs(stop))) == 1
    assert len(asked) == 5
    assert trained.epoch == 1


def test_records_have_the_names_every_run_has():
    dataset = made_up(30, 5, 7)
    (record,) = Cohort([cell("focal:gamma=learned(2)", epochs=1)], dataset, device="cpu").epochs()
    names = set(record[0].values)
    assert {
        "train/objective", "train/nll", "train/top1_acc", "train/gnorm_all", "train/gnorm_last", "train/wnorm_all",
        "train/lr", "train/seconds", "train/samples_per_second", "train/peak_mem_mib",
        "val/nll", "val/top1_acc", "test/nll", "test/top5_err", "test/ece15", "loss/gamma",
    } <= names  # fmt: skip


def test_images_without_augmentation_are_trained_as_flat_rows():
    spec = dataclasses.replace(
        cell(model=HIDDEN, epochs=3).preset,
        data=DataSpec(name="synthetic-images", normalize="channel"),
    )
    run = dataclasses.replace(cell(), preset=spec)
    assert cohort.accepts(run)
    dataset = data.load(spec.data, data.data_folder())
    *_, last = Cohort([run], dataset, device="cpu").epochs()
    assert last[0].values["test/top1_acc"] > 0.5


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({}, True),
        ({"model": HIDDEN}, True),
        ({"model": ModelSpec(name="mlp", hidden=(4,), dropout=0.1)}, False),
        ({"model": ModelSpec(name="digits-cnn")}, False),
        ({"precision": "bf16"}, False),
        ({"optimizer": OptimizerSpec(name="adam", lr=0.1)}, False),
        ({"data": DataSpec(name="synthetic-images", flip=True)}, False),
        ({"data": DataSpec(name="synthetic-images", crop_padding=2)}, False),
    ],
)
def test_what_a_cohort_accepts(change, accepted):
    spec = cell()
    assert cohort.accepts(dataclasses.replace(spec, preset=dataclasses.replace(spec.preset, **change))) is accepted


def test_a_plan_puts_together_what_differs_in_loss_seed_and_optimiser_numbers_only():
    specs = [
        cell("ce", 0), cell("ce", 0, model=HIDDEN),
        cell("el", 1, lr=0.5, momentum=0.0, weight_decay=0.1, schedule="1~0"),
        cell("ce", 2, nesterov=True), cell("ce", 0, name="adam", momentum=0.0),
        cell("ce", 0, name="adam", momentum=0.0), cell("focal", 3), cell("ce", 0, epochs=7),
    ]  # fmt: skip
    assert cohort.plan(specs) == [[0, 2, 6], [1], [3], [4], [5], [7]]
    assert cohort.plan([cell(seed=seed) for seed in range(10)], largest=4) == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    assert cohort.plan([]) == []
