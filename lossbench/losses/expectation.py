"""The expectation loss, its double, and its mixture with cross entropy."""

import torch
from torch import Tensor

from lossbench.formulas import mixtures
from lossbench.losses._margin import TrueClass
from lossbench.losses._numerics import Number, times
from lossbench.losses._registry import true_class

__all__ = ["ce_el", "ce_matched", "expectation", "mae", "mixture"]


@true_class("expectation", mixture=lambda: (0.0, 1.0))
def expectation(true: TrueClass) -> tuple[Tensor, Number]:
    """The probability of drawing a wrong class from the predicted distribution.

        L = 1 - p_y

    Gradient weight: w(p) = p.
    Returns:
        Loss per sample [N], in [0, 1].
    Identities: half of mae, gce at q = 1, taylor-ce at t = 1, rce divided by |A|, phuber-ce at tau = 1.
    Caveats: with C classes the gradient at initialisation is about 1/C of cross entropy's, so it stalls where there
        are many; it is minimised by a vertex of the simplex, so its probabilities mean little. Another loss, here
        called encouraging, also goes by the letters EL.
    """
    return true.not_p, true.p


@true_class("mae", mixture=lambda: (0.0, 2.0))
def mae(true: TrueClass) -> tuple[Tensor, Number]:
    """The L1 distance between the prediction and the one-hot label.

        L = 2 (1 - p_y)

    Gradient weight: w(p) = 2 p.
    Returns:
        Loss per sample [N], in [0, 2].
    Identities: twice expectation; summed over all labels it is 2 (C - 1) whatever the logits.
    Caveats: underfits with many classes; some public code drops the factor 2.
    """
    return times(2.0, true.not_p), times(2.0, true.p)


def mixture(focus: Number) -> tuple[Number, Number]:
    """Weights (alpha, beta) of cross entropy and expectation loss for a focus in [0, 0.5], or for one per sample."""
    if not isinstance(focus, Tensor):
        return mixtures.mixture(focus)
    pure = focus == 0.5
    return (~pure).to(focus.dtype), 1 / (1 - 2 * torch.where(pure, 0.0, focus))


def _shares(*, focus: Number, alpha: Number | None, beta: Number | None, normalize: str) -> tuple[Number, Number]:
    if alpha is None or beta is None:
        alpha, beta = mixture(focus)
    if normalize == "area":
        area = alpha + beta / 3
        alpha, beta = alpha / area, beta / area
    return alpha, beta


@true_class("ce-el", mixture=_shares)
def ce_el(
    true: TrueClass, *, focus: Number, alpha: Number | None, beta: Number | None, normalize: str
) -> tuple[Tensor, Number]:
    """A mixture of cross entropy and expectation loss whose strongest gradient lies at a chosen p_y.

        L = alpha (-log p_y) + beta (1 - p_y),   alpha = 1 and beta = 1 / (1 - 2 focus), or 0 and 1 at focus 0.5

    Gradient weight: w(p) = alpha + beta p.
    Args:
        focus: the p_y at which |dL/dq_y| peaks, in [0, 0.5]; usually scheduled, `0,0.5` or `0-0.5` as published;
            `schedule=f0-0.5` means the same.
        alpha, beta: the two weights themselves, instead of a focus.
        normalize: `area` divides by alpha + beta / 3, the gradient's area relative to cross entropy's, so that moving
            the focus does not also change the step size.
    Returns:
        Loss per sample [N].
    Identities: poly1 at epsilon 1 / (1 - 2 focus); sce and mix-ent at matching weights; expectation at focus 0.5.
    Caveats: without normalize the area is 4/3, 1.42, 1.56, 1.83, 2.67 and then 1/3 along focus 0, 0.1 ... 0.5, so a
        schedule doubles the effective step and then divides it by eight. Strongly over-confident. The gradient peaks
        at (1 - alpha / beta) / 2 only for beta > alpha, otherwise at 0.
    """
    alpha, beta = _shares(focus=focus, alpha=alpha, beta=beta, normalize=normalize)
    return true.mixed(alpha, beta)


@true_class("ce-matched")
def ce_matched(true: TrueClass, *, focus: Number, match: str) -> tuple[Tensor, Number]:
    """Cross entropy scaled to the gradient area of ce-el: the control for "it was only the step size".

        L = -M log p_y,   M = alpha + beta / 3 (true), alpha + beta / 2 (square), alpha + beta / 4 (triangle)

    Gradient weight: w(p) = M at every p.
    Args:
        focus: the focus of the ce-el it is the control of, fixed or with the same schedule.
        match: which integral of the gradient is matched: over p_y for the true class (Eq. 21), over the unit square of
            p_y and p_j for another class (Eq. 22 as printed), or over the part of that square where p_y + p_j <= 1.
    Returns:
        Loss per sample [N], in nats times M.
    Identities: M times ce.
    Caveats: the paper scales the learning rate, not the loss; with weight decay or momentum the two differ.
    """
    alpha, beta = mixture(focus)
    factor = alpha + beta / mixtures.SHARES[match]
    return times(factor, true.ce), factor
