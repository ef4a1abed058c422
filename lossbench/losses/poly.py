"""Cross entropy as a series in 1 - p_y, with its leading coefficients changed."""

import torch
from torch import Tensor

from lossbench.losses._margin import TrueClass
from lossbench.losses._numerics import Number, plus, power, times
from lossbench.losses._registry import true_class

__all__ = ["poly1", "poly1_focal"]


@true_class("poly1")
def poly1(true: TrueClass, *, epsilon: Number) -> tuple[Tensor, Number]:
    """Cross entropy with the first coefficient of its series raised by epsilon.

        L = -log p_y + epsilon (1 - p_y)

    Gradient weight: w(p) = 1 + epsilon p.
    Args:
        epsilon: 2 as published for ImageNet, -1 for detection; several ports default to 1.
    Returns:
        Loss per sample [N].
    Identities: ce-el at focus (1 - 1/epsilon) / 2, for epsilon >= 1.
    Caveats: below -1 the weight is negative near p = 1, which pushes confident samples back.
    """
    if isinstance(epsilon, Tensor) or epsilon < 0:
        return (1 + epsilon) * true.not_p + _ce_beyond_first_term(true), (1 + epsilon) - epsilon * true.not_p
    return true.mixed(1.0, epsilon)


def _ce_beyond_first_term(true: TrueClass) -> Tensor:
    """-log(p) - (1 - p), which is what remains near epsilon -1: by its series where the difference would cancel."""
    not_p = true.not_p
    series = torch.zeros_like(not_p)
    for term in range(12, 1, -1):
        series = not_p * (1 / term + series)
    return torch.where(not_p < 0.05, not_p * series, true.ce - not_p)


@true_class("poly1-focal")
def poly1_focal(true: TrueClass, *, epsilon: Number, gamma: Number) -> tuple[Tensor, Number]:
    """Focal loss with the first coefficient of its series raised by epsilon.

        L = -(1 - p_y)^gamma log p_y + epsilon (1 - p_y)^(gamma + 1)

    Gradient weight: focal's plus epsilon (gamma + 1) p (1 - p)^gamma.
    Args:
        epsilon: added to the leading coefficient.
        gamma: focusing strength, 2 as published for focal loss.
    Returns:
        Loss per sample [N].
    Identities: focal at epsilon 0, poly1 at gamma 0.
    Caveats: under-confident, as focal loss is.
    """
    ce, p, not_p = true
    passive = times(epsilon, not_p)
    raised = passive + ce
    if isinstance(gamma, Tensor) or gamma < 1:
        factor = power(not_p, gamma)
        slope = 1 + p * (gamma * true.ce_over_not_p + epsilon * (gamma + 1))
        return factor * raised, factor * slope
    # One power less, so that nothing is divided by 1 - p.
    lower = not_p if gamma == 2 else power(not_p, gamma - 1)
    slope = torch.addcmul(not_p, p, plus(passive, gamma, raised))
    return lower * (not_p * raised), lower * slope
