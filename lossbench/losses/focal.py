"""Losses that scale cross entropy by a power of how wrong the model is."""

from torch import Tensor

from lossbench.losses._knobs import SWITCH, Fixed, Number, above, at_least
from lossbench.losses._margin import TrueClass
from lossbench.losses._numerics import power
from lossbench.losses._registry import true_class

__all__ = ["adaptive", "focal"]


@true_class(
    "adaptive",
    aliases=("lace", "linearly-adaptive"),
    cites=("arXiv 2507.10574",),
    knobs={"detach": Fixed(False, SWITCH)},
)
def adaptive(true: TrueClass, *, detach: bool) -> tuple[Tensor, Number]:
    """Cross entropy scaled by the probability that is still missing.

        L = -(1 - p_y) log p_y

    Gradient weight: w(p) = (1 - p) - p log p; 1 - p with detach=true.
    Args:
        detach: treat the factor 1 - p_y as a constant; the values stay, the gradients change.
    Returns:
        Loss per sample [N], in nats.
    Identities: focal at gamma 1, exactly; asl at gamma_pos 1, epsilon 0. The weight passes cross entropy's at p = 1/e.
    Caveats: not a pure damper: samples with p_y < 1/e weigh up to 13.5 % more than under cross entropy, which is where
        wrong labels sit. Improper: its probabilities come out under-confident.
    """
    log_p, not_p = true
    value = not_p * -log_p
    return value, not_p if detach else not_p - true.p * log_p


@true_class(
    "focal",
    cites=("arXiv 1708.02002",),
    knobs={"gamma": Fixed(2.0, at_least(0)), "alpha": Fixed(1.0, above(0)), "detach": Fixed(False, SWITCH)},
)
def focal(true: TrueClass, *, gamma: Number, alpha: Number, detach: bool) -> tuple[Tensor, Number]:
    """Cross entropy scaled down on samples the model already gets right.

        L = -alpha (1 - p_y)^gamma log p_y

    Gradient weight: w(p) = alpha ((1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p); alpha (1 - p)^gamma with
        detach=true.
    Args:
        gamma: focusing strength; 2 as published, 3 in calibration work, 0 is cross entropy.
        alpha: one factor for all classes, which over softmax is a factor on the learning rate; 1, where published
            code for one-vs-all detection weighs positives by 0.25.
        detach: treat the factor as a constant, as some public code does.
    Returns:
        Loss per sample [N], in nats.
    Identities: ce at gamma 0, adaptive at gamma 1.
    Caveats: improper, under-confident. Three conventions for alpha are in use; only the scalar one is meant here.
    Numerics: (1 - p)^(gamma - 1) log p is taken as (1 - p)^gamma times log(p) / (1 - p), finite for gamma < 1 at p = 1.
    """
    factor = alpha * power(true.not_p, gamma)
    value = factor * true.ce
    return value, factor if detach else factor * (1 + gamma * true.p * true.ce_over_not_p)
