"""What a preset will cost: against counts made by hand and published ones."""

import pytest

from lossbench import presets
from lossbench.costs import estimate


def test_a_linear_layer_costs_two_operations_a_weight_forward_and_twice_that_back() -> None:
    costs = estimate(presets.load("wine-linear"))
    rows = 178 - 53 - 25  # 30 % test, 20 % of the rest validation
    assert costs.training_rows == rows
    assert costs.weights == 13 * 3 + 3
    # The input needs no gradient, so one of the two products of the way back falls away.
    assert costs.flops == rows * 13 * 3 * 2 * 2
    assert costs.data_bytes == 178 * 13 * 4


@pytest.mark.parametrize(
    ("name", "weights", "forward"),
    [
        ("cifar100-resnet18", 11_220_132, 0.56e9),  # weiaicunzai/pytorch-cifar100
        ("cifar100-resnet20-mixing", 275_572, 0.041e9),  # arXiv 1512.03385's ResNet-20, as usually counted
        ("imagenet-resnext50-mixing", 25_028_904, 4.23e9),  # torchvision's model page, as the next one: groups
        ("imagenet-shufflenet-v2-mixing", 2_278_604, 0.145e9),
        ("womens-clothing-lstm1", 520_655, 70 * 4 * 50 * 100),  # steps, gates, cells, inputs and states
    ],
)
def test_larger_networks_cost_what_is_published(name: str, weights: int, forward: float) -> None:
    costs = estimate(presets.load(name))
    assert costs.weights == weights
    assert costs.flops / costs.training_rows / 6 == pytest.approx(forward, rel=0.03)


def test_fewer_rows_and_larger_inputs_show() -> None:
    whole, part = (estimate(presets.load("cifar100-resnet18", extra)) for extra in ((), ("data.limit=500",)))
    assert (whole.training_rows, part.training_rows) == (50_000, 500)
    assert whole.flops == 100 * part.flops
    assert "11,220,132 weights" in str(whole)
    assert "175.8 MiB" in str(whole)


def test_a_streamed_set_takes_what_its_published_archives_take() -> None:
    assert estimate(presets.load("imagenet-resnet18-mixing")).data_bytes == 154_642_401_280


def test_memory_holds_weights_activations_and_rows() -> None:
    small, wide, deep = (
        estimate(presets.load("digits-mlp", (f"batch_size={batch}", f"model.hidden=[{','.join(hidden)}]"))).memory_bytes
        for batch, hidden in ((128, ["64"]), (1280, ["64"]), (128, ["64", "64"]))
    )
    # What the way back needs of one row: the 64 inputs, and what the hidden layer gives it, each counted thrice.
    assert (wide - small) == 3 * 1152 * (64 + 64) * 4
    assert (deep - small) == 3 * 128 * 64 * 4 + (64 * 64 + 64) * 4 * (4 + 3)
    assert "MiB of memory" in str(estimate(presets.load("wine-linear")))
