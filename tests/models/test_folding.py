"""Batch normalisation folded into convolutions: the same logits up to rounding, and the network left alone."""

import pytest
import torch
from torch import nn

from lossbench import models
from lossbench.models import folded, folds
from lossbench.spec import ModelSpec

FOLDED = {
    "resnet20-cifar": 19,
    "resnet18-cifar": 20,
    "preact-resnet18-cifar": 8,
    "digits-cnn": 0,
}
"""Batch normalisations right behind a convolution, counted by hand from the architectures."""


def seasoned(name: str) -> nn.Module:
    """A network whose normalisations have seen batches, and have weights of their own."""
    shape = (1, 8, 8) if name.startswith("digits") else (3, 32, 32)
    model = models.build(ModelSpec(name=name), shape, 7, seed=0)
    random = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.weight.data, layer.bias.data):
                values.add_(0.3 * torch.randn(values.shape, generator=random))
            layer.running_var.mul_(0.5 + torch.rand(layer.running_var.shape, generator=random))
    return model.eval()


@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_network_gives_the_same_logits_up_to_rounding(name: str) -> None:
    model = seasoned(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.randn(4, *((1, 8, 8) if name.startswith("digits") else (3, 32, 32)))
    assert len(folds(model)) == FOLDED[name]
    with torch.inference_mode():
        fast, plain = folded(model)(images), model(images)
        exact = seasoned(name).double()(images.double())
    # In float32 folding errs as little as not folding does: both are compared with float64.
    scale = exact.abs().max()
    assert (fast - exact).abs().max() / scale < 1e-5
    assert (plain - exact).abs().max() / scale < 1e-5
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_what_does_not_fold_is_left_as_it_is() -> None:
    unlike = nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 1),
        nn.BatchNorm2d(4, track_running_stats=False),
    )
    assert folds(unlike) == []
    assert folded(unlike) is unlike
