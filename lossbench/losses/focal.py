"""Losses that scale cross entropy by a power of how wrong the model is."""

import math

import torch
from torch import Tensor

from lossbench.knobs import Fixed, at_least, within
from lossbench.losses._margin import TrueClass
from lossbench.losses._numerics import Number, column, log_not_p, log_probabilities, number, pick, plus_product, power
from lossbench.losses._registry import loss, true_class

__all__ = ["adaptive", "asl", "dual_focal", "focal", "inverse_focal"]


@true_class("adaptive")
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
        wrong labels sit. Improper: its probabilities come out under-confident. The symmetric divergence it is derived
        from is infinite for one-hot labels; jeffreys is its finite form, and another loss.
    """
    ce, p, not_p = true
    return not_p * ce, not_p if detach else torch.addcmul(not_p, p, ce)


@true_class("focal")
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
    ce, p, not_p = true
    if isinstance(gamma, Tensor) or gamma < 1:
        factor = alpha * power(not_p, gamma)
        return factor * ce, factor if detach else factor * (1 + gamma * p * true.ce_over_not_p)
    # One power less, so that nothing is divided by 1 - p.
    lower = not_p if gamma == 2 else power(not_p, gamma - 1)
    if isinstance(alpha, Tensor) or alpha != 1:
        lower = alpha * lower
    factor, lower_ce = lower * not_p, lower * ce
    return lower_ce * not_p, factor if detach else torch.addcmul(factor, p, lower_ce, value=gamma)


@true_class("inverse-focal")
def inverse_focal(true: TrueClass, *, gamma: Number) -> tuple[Tensor, Number]:
    """Cross entropy scaled up on samples the model already gets right.

        L = -(1 + p_y)^gamma log p_y

    Gradient weight: w(p) = (1 + p)^gamma + gamma p (1 + p)^(gamma - 1) log p.
    Args:
        gamma: strength; 0 is cross entropy.
    Returns:
        Loss per sample [N], in nats.
    Identities: ce at gamma 0.
    Caveats: over-confident; the weight reaches 2^gamma at p = 1.
    """
    ce, p, _ = true
    more = number(1.0, p) + p
    lower = torch.exp((gamma - 1) * p.log1p()) if isinstance(gamma, Tensor) or gamma != 2 else more
    return lower * (more * ce), lower * plus_product(more, -gamma, p, ce)


@loss("dual-focal", cites=("arXiv 2305.13665",), knobs={"gamma": Fixed(0.0, at_least(0))})
def dual_focal(logits: Tensor, target: Tensor, *, gamma: Number) -> Tensor:
    """Focal loss that also looks at the class ranked just below the true one.

        L = -(1 - p_y + p_j)^gamma log p_y,   p_j the largest probability below p_y, 0 where there is none

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        gamma: focusing strength; the published code defaults to 0, which is cross entropy, so set it.
    Returns:
        Loss per sample [N], in nats.
    Identities: ce at gamma 0.
    Caveats: jumps where two classes swap ranks.
    """
    log_p = log_probabilities(logits)
    log_p_true = pick(log_p, target)
    below = log_p.masked_fill(log_p >= log_p_true.unsqueeze(-1), -math.inf).amax(-1)
    return torch.exp(gamma * torch.logaddexp(log_not_p(logits, target), below)) * -log_p_true


@loss(
    "asl",
    cites=("arXiv 2009.14119",),
    knobs={
        "gamma_pos": Fixed(0.0, at_least(0)),
        "gamma_neg": Fixed(4.0, at_least(0)),
        "epsilon": Fixed(0.1, within(0, 1, high_open=True)),
    },
)
def asl(logits: Tensor, target: Tensor, *, gamma_pos: Number, gamma_neg: Number, epsilon: Number) -> Tensor:
    """Asymmetric loss for one label: smoothed cross entropy with its own focusing for true and for other classes.

        L = -sum_j t_j w_j log p_j,   w_y = (1 - p_y)^gamma_pos, w_j = p_j^gamma_neg, t the smoothed label

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        gamma_pos, gamma_neg: focusing of the true and of the other classes; 0 and 4 in the authors' code, 1 and 4 in
            timm.
        epsilon: share of the label spread over all classes.
    Returns:
        Loss per sample [N], in nats.
    Identities: focal(gamma_pos) at epsilon 0, where gamma_neg does nothing; label-smoothing at both gammas 0.
    Caveats: the factors are differentiated here; the authors' code detaches them by default.
    """
    log_p = log_probabilities(logits)
    log_p_true = pick(log_p, target)
    share = epsilon / logits.shape[-1]
    terms = torch.exp(column(gamma_neg) * log_p) * log_p
    others = terms.scatter(-1, target.unsqueeze(-1), 0.0).sum(-1)
    return -(1 - epsilon + share) * torch.exp(gamma_pos * log_not_p(logits, target)) * log_p_true - share * others
