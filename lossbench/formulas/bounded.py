"""Losses that grow more slowly than cross entropy on samples the model finds impossible, or no further."""

import math

import numpy as np

from lossbench.formulas._registry import Array, formula
from lossbench.knobs import SWITCH, Fixed, Scheduled, Whole, above, at_least, within
from lossbench.schedules import Switch

__all__: list[str] = []

_GCE = "arXiv 1805.07836"
_Q = Fixed(0.7, within(0, 1, low_open=True))


@formula("gce", cites=(_GCE,), knobs={"q": _Q})
def _gce(p: Array, *, q: float) -> tuple[Array, Array]:
    return (1 - p**q) / q, p**q


@formula(
    "gce-trunc", cites=(_GCE,), knobs={"q": _Q, "k": Scheduled(Switch(0.0, 0.5, 33), within(0, 1, high_open=True))}
)
def _gce_trunc(p: Array, *, q: float, k: float) -> tuple[Array, Array]:
    return (1 - np.maximum(p, k) ** q) / q, np.where(p > k, p**q, 0.0)


@formula("tce", cites=("arXiv 1810.05075",), knobs={"a": Fixed(0.5, at_least(0))})
def _tce(p: Array, *, a: float) -> tuple[Array, Array]:
    tamed = 1 - np.log(p)
    return np.log(tamed) if a == 1 else (tamed ** (1 - a) - 1) / (1 - a), tamed**-a


@formula("taylor-ce", cites=("doi 10.24963/ijcai.2020/305",), knobs={"t": Fixed(2.0, Whole(1))})
def _taylor_ce(p: Array, *, t: int) -> tuple[Array, Array]:
    terms = [(1 - p) ** term / term for term in range(1, t + 1)]
    return np.sum(terms, axis=0), 1 - (1 - p) ** t


@formula("phuber-ce", cites=("openreview rklB76EKPr",), knobs={"tau": Fixed(10.0, at_least(1))})
def _phuber_ce(p: Array, *, tau: float) -> tuple[Array, Array]:
    return np.where(p > 1 / tau, -np.log(p), math.log(tau) + 1 - tau * p), np.minimum(1.0, tau * p)


@formula("agce", cites=("arXiv 2106.03110",), knobs={"a": Fixed(1.0, above(0)), "q": Fixed(2.0, above(0))})
def _agce(p: Array, *, a: float, q: float) -> tuple[Array, Array]:
    return ((a + 1) ** q - (a + p) ** q) / q, p * (a + p) ** (q - 1)


@formula(
    "js",
    cites=("arXiv 2105.04522",),
    knobs={"pi1": Fixed(0.5, within(0, 1, low_open=True, high_open=True)), "scaled": Fixed(True, SWITCH)},
)
def _js(p: Array, *, pi1: float, scaled: bool) -> tuple[Array, Array]:
    rest = 1 - pi1
    middle = pi1 + rest * p
    whole = -rest * math.log(rest) if scaled else 1.0
    # Of the entropies of the mixture and of the prediction only the terms of the true class do not cancel, and the
    # wrong classes' share of log(1 - pi1).
    value = rest * p * np.log(p) - middle * np.log(middle) - rest * math.log(rest) * (1 - p)
    return value / whole, rest * p * (np.log(middle) - np.log(p) - math.log(rest)) / whole
