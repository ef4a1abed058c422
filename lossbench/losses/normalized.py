"""Losses divided by their sum over all labels, and their pairs with losses that reward the true class alone."""

import math

import torch
from torch import Tensor

from lossbench.knobs import Fixed, Interval, at_least, within
from lossbench.losses._numerics import Number, column, expm1, log_not_p, log_probabilities, pick
from lossbench.losses._registry import loss

__all__ = ["nce", "nce_mae", "nce_rce", "ngce"]

_APL = "arXiv 2006.13554"


@loss("nce", cites=(_APL,))
def nce(logits: Tensor, target: Tensor) -> Tensor:
    """Normalised cross entropy: the true class's share of the cross entropies to all classes.

        L = log p_y / sum_k log p_k

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
    Returns:
        Loss per sample [N], in (0, 1).
    Identities: sums to 1 over all labels.
    Caveats: alone it underfits.
    """
    log_p = log_probabilities(logits)
    return pick(log_p, target) / log_p.sum(-1)


@loss("ngce", cites=(_APL,), knobs={"q": Fixed(0.7, within(0, 1, low_open=True))})
def ngce(logits: Tensor, target: Tensor, *, q: Number) -> Tensor:
    """Normalised generalised cross entropy.

        L = (1 - p_y^q) / sum_k (1 - p_k^q)

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        q: 0.7 as for gce.
    Returns:
        Loss per sample [N], in (0, 1).
    Identities: nce as q tends to 0; sums to 1 over all labels.
    Caveats: alone it underfits.
    """
    missing = expm1(column(q) * log_probabilities(logits))
    return pick(missing, target) / missing.sum(-1)


@loss(
    "nce+rce",
    cites=(_APL,),
    knobs={
        "alpha": Fixed(1.0, at_least(0)),
        "beta": Fixed(1.0, at_least(0)),
        "A": Fixed(math.log(1e-4), Interval(high=0, high_open=True)),
    },
)
def nce_rce(logits: Tensor, target: Tensor, *, alpha: Number, beta: Number, A: Number) -> Tensor:  # noqa: N803
    """Normalised cross entropy with reverse cross entropy: an active and a passive loss.

        L = alpha log p_y / sum_k log p_k - beta A (1 - p_y)

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        alpha, beta: 1 and 1 as published for CIFAR-10, 10 and 0.1 for CIFAR-100.
        A: what log 0 of the one-hot label is taken to be; ln(1e-4) as in the code.
    Returns:
        Loss per sample [N].
    Identities: alpha nce + beta rce.
    """
    log_p = log_probabilities(logits)
    passive = torch.exp(log_not_p(logits, target))
    return alpha * pick(log_p, target) / log_p.sum(-1) - beta * A * passive


@loss("nce+mae", cites=(_APL,), knobs={"alpha": Fixed(1.0, at_least(0)), "beta": Fixed(1.0, at_least(0))})
def nce_mae(logits: Tensor, target: Tensor, *, alpha: Number, beta: Number) -> Tensor:
    """Normalised cross entropy with the mean absolute error as its authors' code has it, without the factor 2.

        L = alpha log p_y / sum_k log p_k + beta (1 - p_y)

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        alpha, beta: 1 and 1 as published for CIFAR-10, 10 and 1 for CIFAR-100.
    Returns:
        Loss per sample [N].
    Identities: alpha nce + beta / 2 mae; at 1 and 1 it sums to C over all labels.
    """
    log_p = log_probabilities(logits)
    passive = torch.exp(log_not_p(logits, target))
    return alpha * pick(log_p, target) / log_p.sum(-1) + beta * passive
