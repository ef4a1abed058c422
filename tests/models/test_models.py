"""Models: what every one of them promises, and the published sizes."""

import pytest
import torch

from lossbench import cohort, models
from lossbench.errors import UsageError
from lossbench.models.mobile import ShuffleUnit
from lossbench.models.resnet import PaddedBlock
from lossbench.models.vit import VisionTransformer
from lossbench.spec import ModelSpec

SHAPES = {
    "digits-cnn": (1, 8, 8),
    "vgg5": (1, 28, 28),
    "spinal-vgg": (1, 28, 28),
    "hidden": (5,),
    "linear": (5,),
    "lstm": (9, 20),
    "bert": (9, 20),
    "mlp": (5,),
}
HIDDEN = {"mlp": (16,), "lstm": (8, 8), "bert": (16, 16)}


def example(name: str) -> tuple[ModelSpec, tuple[int, ...]]:
    """A spec of that model and an input shape it takes."""
    shape = (64, 64) if name.endswith("-imagenet") else (32, 32)
    return ModelSpec(name=name, hidden=HIDDEN.get(name, ())), SHAPES.get(name, (3, *shape))


def example_batch(rows: int, shape: tuple[int, ...]) -> torch.Tensor:
    if len(shape) == 2:  # length and vocabulary of word numbers
        return torch.randint(1, shape[1], (rows, shape[0]))
    return torch.randn(rows, *shape)


def size(name: str, shape: tuple[int, ...], classes: int) -> int:
    """Number of weights, without the time and memory to make them."""
    with torch.device("meta"):
        options = {"dropout": 0.0, "hidden": HIDDEN.get(name), "pretrained": ""}
        entry = models.get(name)
        network = entry.factory(shape, classes, **{option: options[option] for option in entry.options})
    return sum(weight.numel() for weight in network.parameters())


EVERY = [entry.name for entry in models.catalogue()]
NAMES = [name for name in EVERY if size(name, example(name)[1], 10) < 12e6]  # larger ones differ by numbers alone


def weights(spec: ModelSpec, shape: tuple[int, ...], seed: int) -> list[torch.Tensor]:
    return [weight.detach() for weight in models.build(spec, shape, 7, seed=seed).parameters()]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_gives_finite_logits_and_a_gradient_to_every_weight(name):
    spec, shape = example(name)
    network = models.build(spec, shape, 7, seed=0)
    logits = network(example_batch(4, shape))
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
    widths = cohort.widths(spec, 5, 7)
    assert (widths is not None) == (name in ("hidden", "linear", "mlp"))
    if widths is not None:
        matrices = [weight for weight in weights(spec, (5,), seed=0) if weight.ndim == 2]
        assert [tuple(matrix.shape) for matrix in matrices] == list(zip(widths[1:], widths[:-1], strict=True))


COLOUR, GREY = (3, 32, 32), (1, 28, 28)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "expected"),
    [
        ("linear", (64,), 10, 650),
        # akamaster/pytorch_resnet_cifar10, shortcuts without weights: 0.27, 0.46, 0.66 and 1.7 M
        ("resnet20-cifar", COLOUR, 10, 269_722),
        ("resnet32-cifar", COLOUR, 10, 464_154),
        ("resnet44-cifar", COLOUR, 10, 658_586),
        ("resnet110-cifar", COLOUR, 10, 1_727_962),
        # weiaicunzai/pytorch-cifar100: 11.2 and 21.3 M
        ("resnet18-cifar", COLOUR, 100, 11_220_132),
        ("resnet34-cifar", COLOUR, 100, 21_328_292),
        # kuangliu/pytorch-cifar: 11,171,146, and 1,024 for the last normalisation, which the paper has and it has not
        ("preact-resnet18-cifar", COLOUR, 10, 11_171_146 + 1024),
        # arXiv 1611.05431, table 7: 34.4 M
        ("resnext29-8x64d-cifar", COLOUR, 10, 34_426_698),
        # kuangliu/pytorch-cifar: 9,128,778 with a 1x1 stem, 1,536 fewer weights than the paper's 3x3
        ("resnext29-2x64d-cifar", COLOUR, 10, 9_128_778 + 1536),
        # with 1000 classes, torchvision's published sizes: strides have no weights
        ("shufflenet-v2-cifar", COLOUR, 1000, 2_278_604),
        ("mobilenet-v2-cifar", COLOUR, 1000, 3_504_872),
        # arXiv 2007.03347, table 3: 3.646 and 3.630 M
        ("vgg5", GREY, 10, 3_646_154),
        ("spinal-vgg", GREY, 10, 3_629_770),
        # by hand: 1000 vectors of 8; two layers of four gates with 8 + 8 weights and 2 biases each; 5 outputs
        ("lstm", (70, 1000), 5, 1000 * 8 + 2 * (4 * 8 * (8 + 8 + 2)) + 8 * 5 + 5),
        # torchvision's published sizes
        ("resnet18-imagenet", COLOUR, 1000, 11_689_512),
        ("resnet34-imagenet", COLOUR, 1000, 21_797_672),
        ("resnet50-imagenet", COLOUR, 1000, 25_557_032),
        ("resnet101-imagenet", COLOUR, 1000, 44_549_160),
        ("resnext50-imagenet", COLOUR, 1000, 25_028_904),
        ("resnext101-imagenet", COLOUR, 1000, 88_791_336),
        ("shufflenet-v2-imagenet", COLOUR, 1000, 2_278_604),
    ],
)
def test_a_model_has_its_published_number_of_weights(name, shape, classes, expected):
    assert size(name, shape, classes) == expected


def test_the_transformer_has_the_published_number_of_weights_at_its_published_shape():
    with torch.device("meta"):
        network = VisionTransformer((3, 224, 224), 1000, patch=16, width=192, depth=12, heads=3, dropout=0.0)
    assert sum(weight.numel() for weight in network.parameters()) == 5_717_416  # DeiT-Ti, arXiv 2012.12877: 5.7 M


@pytest.mark.parametrize("layers", [1, 2])
def test_what_fills_a_sequence_up_changes_nothing(layers):
    network = models.build(ModelSpec(name="lstm", hidden=(8,) * layers), (9, 20), 7, seed=0)
    tokens = torch.randint(1, 20, (4, 6))
    longer = torch.nn.functional.pad(tokens, (0, 3))
    torch.testing.assert_close(network(longer), network(tokens))
    assert not torch.equal(network(longer), network(tokens[:, :5]))
    assert network(torch.zeros(1, 9, dtype=torch.int64)).isfinite().all()


def test_a_padded_shortcut_keeps_every_second_pixel_between_two_halves_of_zeros():
    block = PaddedBlock(16, 32, 2).eval()
    torch.nn.init.zeros_(block.inner[1][1].weight)  # silence the convolutions
    x = torch.rand(2, 16, 8, 8)
    out = block(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


def test_a_shuffle_unit_interleaves_what_it_keeps_with_what_it_convolves():
    unit = ShuffleUnit(8, 8, 1).eval()
    x = torch.rand(2, 8, 4, 4)
    out = unit(x)
    assert torch.equal(out[:, ::2], x[:, :4])
    assert torch.equal(out[:, 1::2], unit.inner(x[:, 4:]))


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        (ModelSpec(name="resnet18"), (3, 32, 32), "did you mean 'resnet18-cifar'"),
        (ModelSpec(name="resnet18-cifar", hidden=(3,)), (3, 32, 32), "no option hidden.*takes dropout"),
        (ModelSpec(name="linear", hidden=(3,)), (4,), "no option hidden.*takes no options"),
        (ModelSpec(name="vit-tiny-cifar"), (3, 30, 30), "30x30 does not divide"),
        (ModelSpec(name="resnet18-imagenet"), (1, 64, 64), "3 channels, got 1"),
        (ModelSpec(name="linear", dropout=0.5), (4,), "no option dropout"),
        (ModelSpec(name="resnet18-cifar"), (64,), "takes images, but this data set has features"),
        (ModelSpec(name="mlp"), (4,), r"model\.hidden=\[64\]"),
        (ModelSpec(name="linear"), (70, 999), "takes features or images, but this data set has tokens"),
        (ModelSpec(name="lstm"), (70, 999), r"model\.hidden=\[50,50\]; got \[\]"),
        (ModelSpec(name="lstm", hidden=(50, 60)), (70, 999), r"got \[50, 60\]"),
        (ModelSpec(name="digits-cnn"), (1, 3, 3), "at least 4x4, got 3x3"),
    ],
)
def test_what_a_model_cannot_be_is_refused_in_one_line(spec, shape, message):
    with pytest.raises(UsageError, match=message) as caught:
        models.build(spec, shape, 10, seed=0)
    assert "\n" not in str(caught.value)
