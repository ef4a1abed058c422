"""Losses for samples with any number of labels, one sigmoid per label.

The target is a table of labels [N, C], 1 where a label applies; class indices [N] are read as one label each. With
s = sigmoid(q), p_t is s where the label applies and 1 - s where it does not; a label between 0 and 1 mixes the two.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbench.knobs import Fixed, Words, at_least, within
from lossbench.losses._numerics import Number, column, one_hot
from lossbench.losses._registry import loss

__all__ = ["ml_adaptive", "ml_asl", "ml_bce", "ml_expectation", "ml_focal", "ml_poly1"]

_REDUCTION = Fixed("sum", Words(("sum", "mean")))


def _log_sum(log_value: Tensor, addend: Number) -> Tensor:
    """log(exp(log_value) + addend) for addend >= 0, exact and differentiable where the addend is 0 too."""
    addend = torch.as_tensor(addend, dtype=log_value.dtype, device=log_value.device)
    none = addend == 0
    return torch.where(none, log_value, (log_value.exp() + torch.where(none, 1.0, addend)).log())


def _labels(target: Tensor, logits: Tensor) -> Tensor:
    return target.to(logits.dtype) if target.ndim == logits.ndim else one_hot(target, logits)


def _reduced(positive: Tensor, negative: Tensor, labels: Tensor, class_reduction: str) -> Tensor:
    terms = labels * positive + (1 - labels) * negative
    return terms.sum(-1) if class_reduction == "sum" else terms.mean(-1)


def _symmetric(logits: Tensor, target: Tensor, class_reduction: str, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A loss that treats both answers alike: `of` takes log p_t and log(1 - p_t)."""
    yes, no = logsigmoid(logits), logsigmoid(-logits)
    return _reduced(of(yes, no), of(no, yes), _labels(target, logits), class_reduction)


@loss(
    "ml-bce",
    cites=("arXiv 2110.00476",),
    family="multi-label",
    link="sigmoid",
    knobs={"class_reduction": _REDUCTION},
)
def ml_bce(logits: Tensor, target: Tensor, *, class_reduction: str) -> Tensor:
    """Binary cross entropy of every label.

        L = sum_j -log p_t

    Args:
        logits: unnormalised scores [N, C].
        target: labels [N, C] or class indices [N].
        class_reduction: `sum` or `mean` over the labels; they differ by C in the step size.
    Returns:
        Loss per sample [N], in nats.
    Identities: bce for one label per sample.
    """
    return _symmetric(logits, target, class_reduction, lambda log_p, _: -log_p)


@loss(
    "ml-adaptive",
    cites=("arXiv 2507.10574",),
    family="multi-label",
    link="sigmoid",
    knobs={"class_reduction": _REDUCTION},
)
def ml_adaptive(logits: Tensor, target: Tensor, *, class_reduction: str) -> Tensor:
    """The adaptive loss of every label.

        L = sum_j -(1 - p_t) log p_t

    Args:
        logits: unnormalised scores [N, C].
        target: labels [N, C] or class indices [N].
        class_reduction: `sum` or `mean` over the labels.
    Returns:
        Loss per sample [N], in nats.
    Identities: ml-focal at gamma 1.
    """
    return _symmetric(logits, target, class_reduction, lambda log_p, log_rest: -log_rest.exp() * log_p)


@loss(
    "ml-expectation",
    aliases=("ml-el",),
    cites=("arXiv 2109.05635",),
    family="multi-label",
    link="sigmoid",
    knobs={"class_reduction": _REDUCTION},
)
def ml_expectation(logits: Tensor, target: Tensor, *, class_reduction: str) -> Tensor:
    """The expected number of labels a draw from the prediction gets wrong.

        L = sum_j (1 - p_t)

    Args:
        logits: unnormalised scores [N, C].
        target: labels [N, C] or class indices [N].
        class_reduction: `sum` or `mean` over the labels.
    Returns:
        Loss per sample [N].
    """
    return _symmetric(logits, target, class_reduction, lambda _, log_rest: log_rest.exp())


@loss(
    "ml-poly1",
    cites=("arXiv 2204.12511",),
    family="multi-label",
    link="sigmoid",
    knobs={"epsilon": Fixed(2.0), "class_reduction": _REDUCTION},
)
def ml_poly1(logits: Tensor, target: Tensor, *, epsilon: Number, class_reduction: str) -> Tensor:
    """The poly-1 loss of every label.

        L = sum_j -log p_t + epsilon (1 - p_t)

    Args:
        logits: unnormalised scores [N, C].
        target: labels [N, C] or class indices [N].
        epsilon: as for poly1.
        class_reduction: `sum` or `mean` over the labels.
    Returns:
        Loss per sample [N].
    Identities: ml-bce at epsilon 0.
    """
    weight = column(epsilon)
    return _symmetric(logits, target, class_reduction, lambda log_p, log_rest: -log_p + weight * log_rest.exp())


@loss(
    "ml-focal",
    cites=("arXiv 1708.02002",),
    family="multi-label",
    link="sigmoid",
    knobs={"gamma": Fixed(2.0, at_least(0)), "alpha": Fixed(None, within(0, 1)), "class_reduction": _REDUCTION},
)
def ml_focal(logits: Tensor, target: Tensor, *, gamma: Number, alpha: Number | None, class_reduction: str) -> Tensor:
    """The focal loss of every label.

        L = sum_j -a_t (1 - p_t)^gamma log p_t

    Args:
        logits: unnormalised scores [N, C].
        target: labels [N, C] or class indices [N].
        gamma: focusing strength.
        alpha: weight of labels that apply, 1 - alpha for those that do not, 0.25 as published for detection; `none`
            weighs both by 1.
        class_reduction: `sum` or `mean` over the labels.
    Returns:
        Loss per sample [N], in nats.
    Identities: ml-adaptive at gamma 1, ml-bce at gamma 0.
    """
    yes, no = logsigmoid(logits), logsigmoid(-logits)
    strength = column(gamma)
    positive = -torch.exp(strength * no) * yes
    negative = -torch.exp(strength * yes) * no
    if alpha is not None:
        positive, negative = column(alpha) * positive, (1 - column(alpha)) * negative
    return _reduced(positive, negative, _labels(target, logits), class_reduction)


@loss(
    "ml-asl",
    cites=("arXiv 2009.14119",),
    family="multi-label",
    link="sigmoid",
    knobs={
        "gamma_pos": Fixed(1.0, at_least(0)),
        "gamma_neg": Fixed(4.0, at_least(0)),
        "clip": Fixed(0.05, within(0, 1, high_open=True)),
        "class_reduction": _REDUCTION,
    },
)
def ml_asl(
    logits: Tensor, target: Tensor, *, gamma_pos: Number, gamma_neg: Number, clip: Number, class_reduction: str
) -> Tensor:
    """The asymmetric loss: labels that apply and labels that do not have a focusing strength each.

        L = sum_j -(1 - s)^gamma_pos log s where the label applies, else -s_m^gamma_neg log(1 - s_m),
        s_m = max(s - clip, 0)

    Args:
        logits: unnormalised scores [N, C].
        target: labels [N, C] or class indices [N].
        gamma_pos, gamma_neg: 1 and 4 as in the authors' code.
        clip: probability below which an absent label costs nothing.
        class_reduction: `sum` as in the authors' code, or `mean`.
    Returns:
        Loss per sample [N], in nats.
    Identities: ml-focal at equal gammas and clip 0.
    Caveats: the factors are differentiated here; the authors' code detaches them by default.
    """
    yes, no = logsigmoid(logits), logsigmoid(-logits)
    positive = -torch.exp(column(gamma_pos) * no) * yes
    log_missing = _log_sum(no, column(clip)).clamp(max=0)
    shifted = -torch.expm1(log_missing)
    counted = shifted > 0
    log_shifted = torch.where(counted, shifted, 1.0).log()
    negative = torch.where(counted, -torch.exp(column(gamma_neg) * log_shifted) * log_missing, 0.0)
    return _reduced(positive, negative, _labels(target, logits), class_reduction)
