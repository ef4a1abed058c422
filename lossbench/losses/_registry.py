"""The catalogue: what a loss is, and how a file of this package adds one.

Every module of the package whose name has no leading underscore is imported once; each decorated function in it
registers itself. Listings are sorted, so nothing depends on the order of files.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from lossbench import formulas
from lossbench.discovery import import_all
from lossbench.errors import UsageError, unknown
from lossbench.knobs import Source, as_declared, nothing_wrong
from lossbench.losses import _margin
from lossbench.losses._margin import Curve
from lossbench.losses._numerics import Number

__all__ = ["LEFT_OUT", "Loss", "LossFunction", "catalogue", "get", "loss", "register", "true_class"]

LossFunction = Callable[..., Tensor]
"""`(logits [N, C], target [N], **knobs) -> loss per sample [N]`."""

Mixture = Callable[..., tuple[Number, Number]]
"""`(**knobs) -> (alpha, beta)` of a loss alpha (-log p_y) + beta (1 - p_y)."""

Family = Literal["true class", "softmax", "scores", "multi-label"]
"""What a loss looks at: p_y alone, all softmax probabilities, raw scores, or one sigmoid per label."""

Link = Literal["softmax", "sigmoid", "none"]
"""How scores become probabilities at inference."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loss:
    """One entry of the catalogue."""

    name: str
    steps: tuple[LossFunction, ...]
    """One for ordinary losses; the trainer gives each its own forward pass and optimiser."""
    knobs: Mapping[str, Source]
    cites: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    family: Family = "softmax"
    link: Link = "softmax"
    curve: Curve | None = None
    """Value and gradient weight over p_y, for the losses that depend on it alone."""
    mixture: Mixture | None = None
    """Weights of cross entropy and expectation loss, for the losses that are a sum of these two and nothing else."""
    broadcasts: bool = True
    """Whether a numeric knob may come as one value per sample [N]; a user's function need not be written for that."""
    ill_posed: tuple[str, ...] = ()
    """Knobs that would be learned by making the loss small instead of the model good."""
    fewest_classes: int = 2
    doc: str = ""
    spell: Callable[[dict[str, str]], dict[str, str]] = field(default=as_declared, repr=False)
    """Turns other spellings of this loss's knobs into the declared ones."""
    fault: Callable[[Mapping[str, Source]], str | None] = field(default=nothing_wrong, repr=False)
    """What is wrong with knobs that are each in range but do not go together."""

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return self.doc.partition("\n")[0]

    @property
    def paper(self) -> str:
        """The first citation, as error messages name it."""
        return self.cites[0] if self.cites else "lossbench"


LEFT_OUT = {
    "adafocal": "its gamma follows the calibration of a validation split (Ghosh et al. 2022), so it is no function of "
    "logits and target; focal takes a scheduled or learned gamma",
    "gjs": "it needs augmented views of each sample (arXiv 2105.04522), so it is no function of logits and "
    "target; js is its form without them",
}
"""Published losses that do not fit this catalogue, by the name they would have, and why."""

_REGISTRY: dict[str, Loss] = {}


def register(entry: Loss) -> None:
    """Add a loss to the catalogue; a name taken twice is a bug."""
    taken = {name for each in _REGISTRY.values() for name in (each.name, *each.aliases)}
    if clash := taken & {entry.name, *entry.aliases}:
        raise ValueError(f"two losses are called {', '.join(sorted(clash))}")
    _REGISTRY[entry.name] = entry


def loss(
    name: str, *, knobs: Mapping[str, Source] | None = None, **about: Any
) -> Callable[[LossFunction], LossFunction]:
    """Register a function `(logits, target, *, knobs)` as a one-step loss; `about` are further fields of `Loss`."""

    def add(function: LossFunction) -> LossFunction:
        doc = inspect.getdoc(function) or ""
        register(Loss(name=name, steps=(function,), knobs=knobs or {}, doc=doc, **about))
        return function

    return add


def true_class(name: str, *, mixture: Mixture | None = None) -> Callable[[Curve], LossFunction]:
    """Register a function `(TrueClass, *, knobs) -> (value, weight)` as the loss whose formula has this name.

    The decorated name becomes the loss itself, `(logits, target, **knobs)`, so that other losses can build on it.

    Raises:
        KeyError: `lossbench.formulas` has no formula of that name.
    """
    if (declared := formulas.get(name)) is None:
        raise KeyError(f"lossbench.formulas has no {name}")

    def add(curve: Curve) -> LossFunction:
        @functools.wraps(curve)
        def of_logits(logits: Tensor, target: Tensor, **values: Any) -> Tensor:
            return _margin.true_class_loss(curve, logits, target, values)

        entry = Loss(
            name=name,
            steps=(of_logits,),
            knobs=declared.knobs,
            cites=declared.cites,
            aliases=declared.aliases,
            family="true class",
            curve=curve,
            mixture=mixture,
            ill_posed=declared.ill_posed,
            doc=inspect.getdoc(curve) or "",
            spell=declared.spell,
            fault=declared.fault,
        )
        register(entry)
        return of_logits

    return add


def get(name: str) -> Loss:
    """The loss of that name or alias.

    Raises:
        UsageError: there is none.
    """
    entries = _discovered()
    for entry in entries.values():
        if name == entry.name or name in entry.aliases:
            return entry
    if name in LEFT_OUT:
        raise UsageError(f"{name} is not in the catalogue: {LEFT_OUT[name]}")
    raise unknown("loss", name, [spelling for entry in entries.values() for spelling in (entry.name, *entry.aliases)])


def catalogue() -> tuple[Loss, ...]:
    """Every loss, by name."""
    entries = _discovered()
    return tuple(entries[name] for name in sorted(entries))


@functools.cache
def _discovered() -> dict[str, Loss]:
    import_all("lossbench.losses")
    return _REGISTRY
