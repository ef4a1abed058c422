"""Stacks of linear layers, small enough that many of them train as one program."""

import math

from torch import nn

from lossbench.errors import UsageError
from lossbench.models.registry import model


@model("linear", "multinomial logistic regression", takes="features or images")
def linear(shape: tuple[int, ...], classes: int) -> nn.Module:
    return _stack(shape, (), classes, 0.0)


@model("hidden", "one hidden layer as wide as the input", takes="features or images")
def hidden(shape: tuple[int, ...], classes: int) -> nn.Module:
    return _stack(shape, (math.prod(shape),), classes, 0.0)


@model("mlp", "linear layers with ReLU between", takes="features or images")
def mlp(shape: tuple[int, ...], classes: int, *, hidden: tuple[int, ...], dropout: float) -> nn.Module:
    if not hidden:
        raise UsageError("model mlp needs the widths of its hidden layers, such as model.hidden=[64]")
    return _stack(shape, hidden, classes, dropout)


def _stack(shape: tuple[int, ...], hidden: tuple[int, ...], classes: int, dropout: float) -> nn.Sequential:
    """Linear layers with PyTorch's default initial weights, uniform within 1 / sqrt(inputs)."""
    layers: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
    inputs = math.prod(shape)
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))
