"""Models: what every one of them promises, and the published sizes."""

import pytest
import torch

from lossbench import models
from lossbench.errors import UsageError
from lossbench.spec import ModelSpec

NAMES = [entry.name for entry in models.catalogue()]
SHAPES = {"digits-cnn": (1, 8, 8)}
HIDDEN = {"mlp": (16,)}


def example(name: str) -> tuple[ModelSpec, tuple[int, ...]]:
    """A spec of that model and an input shape it takes."""
    default = (5,) if models.get(name).takes == "features" or name in ("linear", "mlp") else (3, 32, 32)
    return ModelSpec(name=name, hidden=HIDDEN.get(name, ())), SHAPES.get(name, default)


def weights(spec: ModelSpec, shape: tuple[int, ...], seed: int) -> list[torch.Tensor]:
    return [weight.detach() for weight in models.build(spec, shape, 7, seed=seed).parameters()]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_gives_finite_logits_and_a_gradient_to_every_weight(name):
    spec, shape = example(name)
    network = models.build(spec, shape, 7, seed=0)
    logits = network(torch.randn(4, *shape))
    assert logits.shape == (4, 7)
    assert logits.isfinite().all()
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    for weight_name, weight in network.named_parameters():
        assert weight.grad is not None, weight_name
        assert weight.grad.isfinite().all(), weight_name


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides_the_initial_weights(name):
    spec, shape = example(name)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights(spec, shape, seed=0)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    assert all(map(torch.equal, first, weights(spec, shape, seed=0)))
    assert not all(map(torch.equal, first, weights(spec, shape, seed=1)))


@pytest.mark.parametrize("name", NAMES)
def test_layer_widths_describe_exactly_the_stacks_of_linear_layers(name):
    spec, _ = example(name)
    widths = models.widths(spec, 5, 7)
    assert (widths is not None) == (name in ("linear", "mlp"))
    if widths is not None:
        matrices = [weight for weight in weights(spec, (5,), seed=0) if weight.ndim == 2]
        assert [tuple(matrix.shape) for matrix in matrices] == list(zip(widths[1:], widths[:-1], strict=True))


@pytest.mark.parametrize(
    ("name", "shape", "classes", "expected"),
    [
        ("linear", (64,), 10, 650),
        ("resnet18-cifar", (3, 32, 32), 100, 11_220_132),  # weiaicunzai/pytorch-cifar100: 11.2 M
    ],
)
def test_a_model_has_its_published_number_of_weights(name, shape, classes, expected):
    network = models.build(ModelSpec(name=name), shape, classes, seed=0)
    assert sum(weight.numel() for weight in network.parameters()) == expected


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        (ModelSpec(name="resnet18"), (3, 32, 32), "did you mean 'resnet18-cifar'"),
        (ModelSpec(name="resnet18-cifar", hidden=(3,)), (3, 32, 32), "no option hidden.*takes no options"),
        (ModelSpec(name="linear", dropout=0.5), (4,), "no option dropout"),
        (ModelSpec(name="resnet18-cifar"), (64,), "takes images, but one row of this data set is 64"),
        (ModelSpec(name="mlp"), (4,), r"model\.hidden=\[64\]"),
        (ModelSpec(name="digits-cnn"), (1, 3, 3), "at least 4x4, got 3x3"),
    ],
)
def test_what_a_model_cannot_be_is_refused_in_one_line(spec, shape, message):
    with pytest.raises(UsageError, match=message) as caught:
        models.build(spec, shape, 10, seed=0)
    assert "\n" not in str(caught.value)
