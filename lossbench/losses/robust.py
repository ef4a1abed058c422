"""Losses made to suffer less from wrong labels than cross entropy does."""

import math

import torch
from torch import Tensor

from lossbench.losses._knobs import Fixed, Interval, Number, at_least, within
from lossbench.losses._margin import TrueClass
from lossbench.losses._registry import true_class

__all__ = ["gce", "sce"]


@true_class("gce", cites=("arXiv 1805.07836",), knobs={"q": Fixed(0.7, within(0, 1, low_open=True))})
def gce(true: TrueClass, *, q: Number) -> tuple[Tensor, Number]:
    """Generalised cross entropy: the Box-Cox transform between cross entropy and expectation loss.

        L = (1 - p_y^q) / q

    Gradient weight: w(p) = p^q.
    Args:
        q: 0.7 as published; towards 0 it becomes ce, at 1 it is expectation.
    Returns:
        Loss per sample [N], in [0, 1/q].
    Identities: expectation at q = 1; ce as q tends to 0.
    Caveats: strongly over-confident; with C classes the gradient at initialisation is C^-q of cross entropy's.
    Numerics: -expm1(q log p_y) / q.
    """
    scaled = q * true.log_p
    return -torch.expm1(scaled) / q, torch.exp(scaled)


@true_class(
    "sce",
    cites=("arXiv 1908.06112",),
    knobs={
        "alpha": Fixed(0.1, at_least(0)),
        "beta": Fixed(1.0, at_least(0)),
        "A": Fixed(math.log(1e-4), Interval(high=0, high_open=True)),
    },
)
def sce(true: TrueClass, *, alpha: Number, beta: Number, A: Number) -> tuple[Tensor, Number]:  # noqa: N803
    """Symmetric cross entropy: cross entropy plus cross entropy with prediction and label exchanged.

        L = alpha (-log p_y) - beta A (1 - p_y)

    Gradient weight: w(p) = alpha - beta A p.
    Args:
        alpha, beta: 0.1 and 1 as published for CIFAR-10, 6 and 0.1 for CIFAR-100.
        A: what log 0 of the one-hot label is taken to be; ln(1e-4), as in all code, where the paper prints -4.
    Returns:
        Loss per sample [N].
    Identities: alpha ce + beta |A| expectation; mix-ent with A = ln(eps).
    Caveats: the published alpha and beta were found with A = ln(1e-4), so at -4 they mean something else.
    """
    slope = -(beta * A)
    return alpha * true.ce + slope * true.not_p, alpha + slope * true.p
