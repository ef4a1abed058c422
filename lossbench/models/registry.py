"""The architectures by name; a module of this package adds its own by decorating a factory."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal

import torch
from torch import nn

from lossbench.discovery import import_all
from lossbench.errors import UsageError, unknown
from lossbench.randomness import seed_for
from lossbench.spec import ModelSpec

__all__ = ["Model", "build", "catalogue", "get", "model"]

Factory = Callable[..., nn.Module]

Takes = Literal["features", "images", "tokens", "features or images"]
_KINDS = {1: "features", 2: "tokens", 3: "images"}
"""Dimensions of a data set's shape -> what its rows are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An architecture by name.

    The factory takes the shape of one input row, the number of classes, and those options of `ModelSpec` that are
    among its keyword arguments.
    """

    name: str
    title: str
    takes: Takes
    factory: Factory

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the `ModelSpec` fields it takes."""
        parameters = inspect.signature(self.factory).parameters.values()
        return tuple(each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY)


_MODELS: dict[str, Model] = {}


def model(name: str, title: str, *, takes: Takes) -> Callable[[Factory], Factory]:
    """Make a factory available under a name."""

    def register(factory: Factory) -> Factory:
        if name in _MODELS:
            raise ValueError(f"model {name!r} is registered twice")
        _MODELS[name] = Model(name=name, title=title, takes=takes, factory=factory)
        return factory

    return register


def catalogue() -> tuple[Model, ...]:
    """Every model, sorted by name."""
    return tuple(_discovered()[name] for name in sorted(_discovered()))


def get(name: str) -> Model:
    """The model of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in _discovered():
        raise unknown("model", name, _discovered())
    return _discovered()[name]


def build(spec: ModelSpec, dataset_shape: tuple[int, ...], classes: int, *, seed: int) -> nn.Module:
    """The model with the initial weights of that seed, the same on every device and under every loss.

    Raises:
        UsageError: no such model, an option it does not take, or inputs of a shape it cannot read.
    """
    entry = get(spec.name)
    given = _KINDS[len(dataset_shape)]
    if given not in entry.takes.split(" or "):
        raise UsageError(f"model {spec.name} takes {entry.takes}, but this data set has {given}")
    options = _options(entry, spec)
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed_for(seed, "init"))
        return entry.factory(dataset_shape, classes, **options)
    finally:
        torch.set_rng_state(state)


def _options(entry: Model, spec: ModelSpec) -> dict[str, Any]:
    for option in fields(spec):
        if option.name == "name" or option.name in entry.options:
            continue
        if (value := getattr(spec, option.name)) != option.default:
            takes = f"it takes {', '.join(entry.options)}" if entry.options else "it takes no options"
            raise UsageError(f"model {spec.name} has no option {option.name}, got {value!r}; {takes}")
    return {name: getattr(spec, name) for name in entry.options}


@cache
def _discovered() -> dict[str, Model]:
    import_all("lossbench.models")
    return _MODELS
