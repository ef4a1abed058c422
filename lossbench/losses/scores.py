"""Losses on the raw scores, of which a softmax does not make probabilities."""

from torch import Tensor
from torch.linalg import vector_norm

from lossbench.knobs import Fixed, above
from lossbench.losses._numerics import Number, column, one_hot
from lossbench.losses._registry import loss
from lossbench.losses.cross_entropy import cross_entropy

__all__ = ["logitnorm", "mmc", "square", "squentropy"]


@loss(
    "square",
    cites=("arXiv 2006.07322",),
    family="scores",
    link="none",
    knobs={"k": Fixed(1.0, above(0)), "M": Fixed(1.0, above(0))},
)
def square(logits: Tensor, target: Tensor, *, k: Number, M: Number) -> Tensor:  # noqa: N803
    """Squared distance of the scores to M for the true class and 0 for the others.

        L = (k (q_y - M)^2 + sum_{j != y} q_j^2) / C

    Args:
        logits: scores [N, C].
        target: class indices [N].
        k, M: weight and height of the true class, 1 and 1; larger where there are many classes.
    Returns:
        Loss per sample [N].
    Caveats: no softmax belongs on top: accuracy is right, probabilities are not.
    """
    truth = one_hot(target, logits)
    distance = (logits - column(M) * truth).square()
    return (distance * (1 + (column(k) - 1) * truth)).mean(-1)


@loss("squentropy", cites=("arXiv 2302.03952",), family="scores")
def squentropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy plus the mean square of the wrong classes' scores.

        L = -log p_y + sum_{j != y} q_j^2 / (C - 1)

    Args:
        logits: scores [N, C].
        target: class indices [N].
    Returns:
        Loss per sample [N].
    Caveats: not invariant to a shift of the scores.
    """
    squares = logits.square()
    others = squares.scatter(-1, target.unsqueeze(-1), 0.0)
    return cross_entropy(logits, target) + others.sum(-1) / (logits.shape[-1] - 1)


@loss("logitnorm", cites=("arXiv 2205.09310",), family="scores", knobs={"tau": Fixed(0.04, above(0))})
def logitnorm(logits: Tensor, target: Tensor, *, tau: Number) -> Tensor:
    """Cross entropy of the scores scaled to one length.

        L = -log softmax(q / ((|q| + 1e-7) tau))_y

    Args:
        logits: scores [N, C].
        target: class indices [N].
        tau: temperature; 0.04 is the authors' advice for CIFAR-10, 0.0085 for CIFAR-100; at 1 it cannot train.
    Returns:
        Loss per sample [N], in nats.
    Caveats: scores are not normalised when predicting, so their scale, and NLL and ECE with it, mean nothing before a
        temperature is fitted. The 1e-7 belongs to the published form; the gradient at q = 0 is as large as its inverse.
    """
    length = vector_norm(logits, dim=-1, keepdim=True)
    return cross_entropy(logits / ((length + 1e-7) * column(tau)), target)


@loss("mmc", cites=("arXiv 1905.10626",), family="scores", link="none", knobs={"C": Fixed(10.0, above(0))})
def mmc(logits: Tensor, target: Tensor, *, C: Number) -> Tensor:  # noqa: N803
    """Max-Mahalanobis centre loss, with the scores as features.

        L = |q - mu_y|^2 / 2,   mu_k = C sqrt(K / (K - 1)) (e_k - 1 / K) for K classes

    Args:
        logits: scores [N, K].
        target: class indices [N].
        C: length of every centre, 10 as in the published code.
    Returns:
        Loss per sample [N].
    Identities: the nearest centre is the largest score.
    Caveats: gradients are about C long, so it wants a smaller learning rate; softmax of these scores means nothing.
        arXiv 2109.05635 prints the norm without its square.
    """
    classes = logits.shape[-1]
    height = column(C) * (classes / (classes - 1)) ** 0.5
    centre = height * (one_hot(target, logits) - 1 / classes)
    distance: Tensor = (logits - centre).square().sum(-1)
    return distance / 2
