"""Cross entropy, the expectation loss 1 - p_y, and everything that is a sum of the two."""

import math
from collections.abc import Mapping

import numpy as np

from lossbench.errors import UsageError
from lossbench.formulas._registry import Array, formula
from lossbench.knobs import Fixed, Interval, Source, Words, above, at_least, within

__all__ = ["SHARES", "mixture"]

_EL = "arXiv 2109.05635"
_SCE = "arXiv 1908.06112"
_NEGATIVE = Interval(high=0, high_open=True)


def _mixed(p: Array, alpha: float, beta: float) -> tuple[Array, Array]:
    """alpha (-log p) + beta (1 - p)."""
    return -alpha * np.log(p) + beta * (1 - p), alpha + beta * p


def mixture(focus: float) -> tuple[float, float]:
    """Weights of cross entropy and expectation loss for a focus in [0, 0.5]; at 0.5 the formula has a pole, and the
    expectation loss stands alone."""
    return (0.0, 1.0) if focus == 0.5 else (1.0, 1 / (1 - 2 * focus))


SHARES = {"true": 3, "square": 2, "triangle": 4}
"""Which part of beta counts in the area of ce-el's gradient, by the three readings of arXiv 2109.05635, Eq. 20-22."""


def _spell(texts: dict[str, str]) -> dict[str, str]:
    if "schedule" not in texts:
        return texts
    if "focus" in texts:
        raise UsageError("schedule is another word for focus; set one of them")
    return {("focus" if knob == "schedule" else knob): text.removeprefix("f") for knob, text in texts.items()}


def _fault(sources: Mapping[str, Source]) -> str | None:
    unset = [knob for knob in ("alpha", "beta") if sources[knob] == Fixed(None, at_least(0))]
    if len(unset) == 1:
        return f"alpha and beta are set together, and {unset[0]} is missing"
    if not unset and str(sources["focus"]) != "0":
        return "the mixture is given by focus or by alpha and beta, not by both"
    return None


@formula("ce", aliases=("cross-entropy",))
def _cross_entropy(p: Array) -> tuple[Array, float]:
    return -np.log(p), 1.0


@formula("expectation", aliases=("el",), cites=(_EL,))
def _expectation(p: Array) -> tuple[Array, Array]:
    return _mixed(p, 0, 1)


@formula("mae", aliases=("l1",), cites=("arXiv 1712.09482",))
def _mae(p: Array) -> tuple[Array, Array]:
    return _mixed(p, 0, 2)


@formula(
    "ce-el",
    aliases=("mix-el",),
    cites=(_EL,),
    knobs={
        "focus": Fixed(0.0, within(0, 0.5)),
        "alpha": Fixed(None, at_least(0)),
        "beta": Fixed(None, at_least(0)),
        "normalize": Fixed("none", Words(("none", "area"))),
    },
    spell=_spell,
    fault=_fault,
)
def _ce_el(p: Array, *, focus: float, alpha: float | None, beta: float | None, normalize: str) -> tuple[Array, Array]:
    if alpha is None or beta is None:
        alpha, beta = mixture(focus)
    area = alpha + beta / 3 if normalize == "area" else 1.0
    return _mixed(p, alpha / area, beta / area)


@formula(
    "ce-matched",
    cites=(_EL,),
    knobs={"focus": Fixed(0.0, within(0, 0.5)), "match": Fixed("true", Words(tuple(SHARES)))},
    spell=_spell,
)
def _ce_matched(p: Array, *, focus: float, match: str) -> tuple[Array, Array]:
    alpha, beta = mixture(focus)
    return _mixed(p, alpha + beta / SHARES[match], 0)


@formula("poly1", cites=("arXiv 2204.12511",), knobs={"epsilon": Fixed(2.0)})
def _poly1(p: Array, *, epsilon: float) -> tuple[Array, Array]:
    return _mixed(p, 1, epsilon)


@formula(
    "sce",
    cites=(_SCE,),
    knobs={
        "alpha": Fixed(0.1, at_least(0)),
        "beta": Fixed(1.0, at_least(0)),
        "A": Fixed(math.log(1e-4), _NEGATIVE),
    },
)
def _sce(p: Array, *, alpha: float, beta: float, A: float) -> tuple[Array, Array]:  # noqa: N803
    return _mixed(p, alpha, -beta * A)


@formula("rce", cites=(_SCE,), knobs={"A": Fixed(math.log(1e-4), _NEGATIVE)})
def _rce(p: Array, *, A: float) -> tuple[Array, Array]:  # noqa: N803
    return _mixed(p, 0, -A)


@formula(
    "mix-ent",
    cites=("arXiv 2501.13709",),
    ill_posed=("beta1", "beta2", "base1", "base2"),
    knobs={
        "beta1": Fixed(1.0, at_least(0)),
        "beta2": Fixed(1.0, at_least(0)),
        "eps": Fixed(1e-6, within(0, 1, low_open=True, high_open=True)),
        "base1": Fixed(math.e, above(1)),
        "base2": Fixed(math.e, above(1)),
    },
)
def _mix_ent(p: Array, *, beta1: float, beta2: float, eps: float, base1: float, base2: float) -> tuple[Array, Array]:
    return _mixed(p, beta1 / math.log(base1), -beta2 * math.log(eps) / math.log(base2))
