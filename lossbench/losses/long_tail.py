"""Losses that know how often each class occurs in the training set."""

import torch
from torch import Tensor

from lossbench.errors import UsageError
from lossbench.knobs import Fixed, FromData, Interval, at_least
from lossbench.losses._numerics import Number, column, log
from lossbench.losses._registry import loss
from lossbench.losses.cross_entropy import cross_entropy
from lossbench.losses.focal import focal

__all__ = ["cb_ce", "cb_focal", "logit_adjust"]


def class_counts(target: Tensor, classes: int) -> Tensor:
    """Number of training rows [C] of each class.

    Raises:
        UsageError: a class does not occur.
    """
    counts = target.bincount(minlength=classes).double()
    if absent := (counts == 0).nonzero().flatten().tolist():
        raise UsageError(f"this loss needs every class in the training set; absent: {', '.join(map(str, absent))}")
    return counts


_COUNTS = FromData(class_counts, "class counts of the training set")
# Near 1 a float32 would lose what this knob is about, 1 - beta, so it is never rounded to the type of the logits.
_BETA = Fixed(0.9999, Interval(0, 1, high_open=True, exact=True))


@loss(
    "logit-adjust",
    aliases=("balanced-softmax",),
    cites=("arXiv 2007.07314", "arXiv 2007.10740"),
    knobs={"tau": Fixed(1.0, at_least(0)), "counts": _COUNTS},
)
def logit_adjust(logits: Tensor, target: Tensor, *, tau: Number, counts: Tensor) -> Tensor:
    """Cross entropy of logits shifted by the log-frequency of their class.

        L = -log softmax(q + tau log pi)_y,   pi the class frequencies of the training set

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        tau: strength of the shift; 1 is the balanced softmax.
        counts: rows of each class in the training set [C].
    Returns:
        Loss per sample [N], in nats.
    Identities: ce for equal counts or tau 0.
    Caveats: the shift is for training only; NLL on a test set is of the unshifted logits.
    """
    log_frequencies = (counts / counts.sum()).log().to(logits.dtype)
    return cross_entropy(logits + column(tau) * log_frequencies, target)


@loss("cb-ce", cites=("arXiv 1901.05555",), knobs={"beta": _BETA, "counts": _COUNTS})
def cb_ce(logits: Tensor, target: Tensor, *, beta: Number, counts: Tensor) -> Tensor:
    """Class-balanced cross entropy: each class weighs as its effective number of samples demands.

        L = -v_y log p_y,   v_c proportional to (1 - beta) / (1 - beta^n_c), summing to C

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        beta: 0.9999 is common; 0 weighs all classes alike, towards 1 the weight is 1 / n_c.
        counts: rows of each class in the training set [C].
    Returns:
        Loss per sample [N], in nats.
    Identities: ce for equal counts or beta 0.
    Caveats: the batch mean is plain; `torch.nn.CrossEntropyLoss(weight=)` divides by the sum of weights instead.
    """
    return _balance(beta, counts, target).to(logits.dtype) * cross_entropy(logits, target)


@loss(
    "cb-focal",
    cites=("arXiv 1901.05555",),
    knobs={"beta": _BETA, "gamma": Fixed(2.0, at_least(0)), "counts": _COUNTS},
)
def cb_focal(logits: Tensor, target: Tensor, *, beta: Number, gamma: Number, counts: Tensor) -> Tensor:
    """Class-balanced focal loss over softmax.

        L = -v_y (1 - p_y)^gamma log p_y,   v as for cb-ce

    Args:
        logits: unnormalised scores [N, C].
        target: class indices [N].
        beta: as for cb-ce.
        gamma: focusing strength.
        counts: rows of each class in the training set [C].
    Returns:
        Loss per sample [N], in nats.
    Identities: cb-ce at gamma 0, focal for equal counts.
    Caveats: the paper's focal form is one-vs-all and divided by the number of positives.
    """
    weights = _balance(beta, counts, target).to(logits.dtype)
    return weights * focal(logits, target, gamma=gamma, alpha=1.0, detach=False)


def _balance(beta: Number, counts: Tensor, target: Tensor) -> Tensor:
    """The weight of each sample's class [N]."""
    weights = -1 / torch.expm1(counts * column(log(beta)))
    shares = len(counts) * weights / weights.sum(-1, keepdim=True)
    return shares.expand(*target.shape, -1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
