"""What a formula is, and how a file of this package adds one."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.discovery import import_all
from lossbench.knobs import FromData, Source, as_declared, nothing_wrong, settled, sources_of
from lossbench.knobs import canonical as canonical_of
from lossbench.spec import LossRef, parse_loss

__all__ = ["Array", "Curve", "Formula", "canonical", "catalogue", "formula", "get", "over_probability"]

Array = NDArray[np.float64]

Function = Callable[..., tuple[Array, Array | float]]
"""`(p, **knobs) -> (value f(p), weight -p f'(p))`; a weight that is the same at every p may be one number."""


Curve = Callable[..., tuple[Array, Array]]
"""`(p [N], **knobs) -> (value [N] in nats, gradient weight [N])`, at probabilities strictly between 0 and 1; knobs are
as in the last epoch, learned ones as at their start, unless they are given."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Formula:
    """A loss L = f(p_y), whose gradient in the logits q is that of cross entropy times w(p_y) = -p_y f'(p_y)."""

    name: str
    function: Function
    knobs: Mapping[str, Source] = field(default_factory=dict)
    cites: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ill_posed: tuple[str, ...] = ()
    """Knobs that would be learned by making the loss small instead of the model good."""
    spell: Callable[[dict[str, str]], dict[str, str]] = field(default=as_declared, repr=False)
    fault: Callable[[Mapping[str, Source]], str | None] = field(default=nothing_wrong, repr=False)

    @property
    def paper(self) -> str:
        """The first citation, as error messages name it."""
        return self.cites[0] if self.cites else "lossbench"


_REGISTRY: dict[str, Formula] = {}


def formula(name: str, **about: Any) -> Callable[[Function], Function]:
    """Register a function `(p, *, knobs) -> (value, weight)`; `about` are further fields of `Formula`."""

    def add(function: Function) -> Function:
        _REGISTRY[name] = Formula(name=name, function=function, **about)
        return function

    return add


@functools.cache
def _discovered() -> dict[str, Formula]:
    import_all("lossbench.formulas")
    return _REGISTRY


def catalogue() -> tuple[Formula, ...]:
    """Every formula, by name."""
    entries = _discovered()
    return tuple(entries[name] for name in sorted(entries))


def get(name: str) -> Formula | None:
    """The formula of that name or alias, or None where the loss depends on more than p_y, or there is none."""
    return next((each for each in _discovered().values() if name in (each.name, *each.aliases)), None)


def canonical(text: str) -> LossRef | None:
    """The canonical reference a text stands for, or None where it names no loss of p_y.

    Raises:
        UsageError: an unknown knob, or a value out of range.
    """
    asked = parse_loss(text)
    entry = get(asked.name)
    return None if entry is None else canonical_of(entry, asked)


def over_probability(text: str) -> tuple[dict[str, Source], Curve] | None:
    """The source of each knob of a loss, and its value and weight over p_y; None where it depends on more than p_y.

    Raises:
        UsageError: an unknown knob, or a value out of range.
    """
    ref = canonical(text)
    entry = None if ref is None else get(ref.name)
    if ref is None or entry is None:
        return None
    sources = sources_of(entry, ref)
    values = {knob: settled(source) for knob, source in sources.items() if not isinstance(source, FromData)}

    def over(p: Array, **knobs: Any) -> tuple[Array, Array]:
        value, weight = entry.function(p, **{**values, **knobs})
        return value, np.broadcast_to(weight, p.shape)

    return sources, over
