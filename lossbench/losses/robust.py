"""Losses made to suffer less from wrong labels than cross entropy does."""

import math

import torch
from torch import Tensor

from lossbench.losses._margin import TrueClass
from lossbench.losses._numerics import Number, exp, expm1_over, log, not_below, number, plus, times
from lossbench.losses._registry import true_class

__all__ = ["agce", "encouraging", "gce", "gce_trunc", "js", "phuber_ce", "rce", "sce", "taylor_ce", "tce"]


@true_class("gce")
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
    scaled = times(-q, true.ce)
    return times(-1 / q, torch.expm1(scaled)), torch.exp(scaled)


@true_class("sce")
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
    return true.mixed(alpha, slope)


@true_class("rce")
def rce(true: TrueClass, *, A: Number) -> tuple[Tensor, Number]:  # noqa: N803
    """Reverse cross entropy: from the prediction to the one-hot label, whose log 0 is taken to be A.

        L = -A (1 - p_y)

    Gradient weight: w(p) = -A p.
    Args:
        A: ln(1e-4), as in all code.
    Returns:
        Loss per sample [N], in [0, -A].
    Identities: |A| times expectation; summed over all labels it is |A| (C - 1) whatever the logits.
    Caveats: alone it stalls where there are many classes, as expectation does.
    """
    return times(-A, true.not_p), times(-A, true.p)


@true_class("gce-trunc")
def gce_trunc(true: TrueClass, *, q: Number, k: Number) -> tuple[Tensor, Number]:
    """Generalised cross entropy that gives up on samples whose p_y is k or less.

        L = (1 - max(p_y, k)^q) / q

    Gradient weight: w(p) = p^q for p > k, else 0.
    Args:
        q: 0.7 as published.
        k: 0.5 as published, from a third of the epochs on (40 of 120 in the public port); before that 0, which is
            gce. `k=0,0.5@20` moves the end of the warm-up, `k=0.5` leaves it out.
    Returns:
        Loss per sample [N], in [0, 1/q].
    Identities: gce at k = 0.
    Caveats: without a warm-up nothing trains from scratch on more than 1/k classes. The paper's algorithm refreshes
        the set of given-up samples now and then; here each is judged at every step.
    """
    floor, log_p = log(k), -true.ce
    if isinstance(q, Tensor) or isinstance(floor, Tensor):
        return torch.expm1(q * not_below(log_p, floor)) / -q, torch.exp(q * log_p) * (log_p > floor)
    # The same with fewer kernels; what is given up is -inf here, which has no derivative in a learned q.
    scaled = times(q, torch.threshold(log_p, floor, -math.inf))
    return times(-1 / q, torch.expm1(scaled.clamp(min=q * floor))), torch.exp(scaled)


@true_class("tce")
def tce(true: TrueClass, *, a: Number) -> tuple[Tensor, Number]:
    """Tamed cross entropy: grows more slowly than cross entropy on samples the model finds impossible.

        L = ((1 - log p_y)^(1 - a) - 1) / (1 - a),   log(1 - log p_y) at a = 1

    Gradient weight: w(p) = (1 - log p)^-a.
    Args:
        a: 0 is cross entropy; 0.5 is our middle, the paper's value could not be read.
    Returns:
        Loss per sample [N].
    Numerics: expm1((1 - a) log1p(-log p_y)) / (1 - a); at a = 1/2 by way of a square root.
    Identities: ce at a = 0.
    Caveats: over-confident. "TCE" also abbreviates the Taylor form, here taylor-ce. arXiv 2109.05635 prints 1 / (1 - a)
        inside the bracket, which only shifts the value, and credits another paper.
    """
    ce = true.ce
    if not isinstance(a, Tensor) and a == 0.5:
        root = (ce + number(1.0, ce)).sqrt()
        return ce / torch.add(number(0.5, root), root, alpha=0.5), root.reciprocal()
    tamed = ce.log1p()
    return expm1_over(1 - a, tamed), torch.exp(times(-a, tamed))


@true_class("taylor-ce")
def taylor_ce(true: TrueClass, *, t: int) -> tuple[Tensor, Number]:
    """The first t terms of cross entropy's series in 1 - p_y.

        L = sum_{i=1..t} (1 - p_y)^i / i

    Gradient weight: w(p) = 1 - (1 - p)^t.
    Args:
        t: number of terms; 2 and 6 are in use.
    Returns:
        Loss per sample [N].
    Identities: expectation at t = 1, el + el^2 / 2 at t = 2, ce as t grows.
    Caveats: minimised by a vertex of the simplex for small t, so its probabilities mean little.
    """
    _, p, not_p = true
    value, weight = not_p, p
    # By Horner's rule, from the last term on; the value of what comes after a term is kept times that term's number.
    for term in range(t - 1, 0, -1):
        value = torch.addcmul(not_p, not_p, value, value=term / (term + 1))
        weight = torch.addcmul(p, not_p, weight)
    return value, weight


@true_class("phuber-ce")
def phuber_ce(true: TrueClass, *, tau: Number) -> tuple[Tensor, Number]:
    """Cross entropy made linear in p_y below 1/tau, which bounds its gradient in the probability by tau.

        L = -log p_y for p_y > 1/tau, else log(tau) + 1 - tau p_y

    Gradient weight: w(p) = min(1, tau p).
    Args:
        tau: 10 in the authors' configuration, 2 for CIFAR-10.
    Returns:
        Loss per sample [N], in [0, 1 + log(tau)].
    Identities: expectation at tau = 1, ce as tau grows.
    Caveats: proper only for probabilities above 1/tau.
    """
    ce, highest = true.ce, log(tau)
    capped = torch.minimum(ce, highest) if isinstance(highest, Tensor) else ce.clamp(max=highest)
    below = capped - ce
    return capped - torch.expm1(below), torch.exp(below)


@true_class("agce")
def agce(true: TrueClass, *, a: Number, q: Number) -> tuple[Tensor, Number]:
    """Asymmetric generalised cross entropy.

        L = ((a + 1)^q - (a + p_y)^q) / q

    Gradient weight: w(p) = p (a + p)^(q - 1).
    Args:
        a, q: 1 and 2 as in the published code.
    Returns:
        Loss per sample [N].
    Identities: expectation at q = 1.
    Caveats: like expectation it starts slowly where there are many classes.
    Numerics: (a + 1)^q times -expm1(q log1p(-(1 - p) / (a + 1))), exact as p tends to 1; at q = 2 a polynomial.
    """
    if not isinstance(q, Tensor) and q == 2:
        _, p, not_p = true
        return torch.addcmul(times(a + 1, not_p), not_p, not_p, value=-0.5), torch.addcmul(times(a, p), p, p)
    whole = log(a + 1)
    relative = torch.log1p(true.not_p / -(a + 1))
    value = torch.expm1(q * relative) * (exp(q * whole) / -q)
    return value, true.p * torch.exp((q - 1) * (relative + whole))


@true_class("js")
def js(true: TrueClass, *, pi1: Number, scaled: bool) -> tuple[Tensor, Number]:
    """Jensen-Shannon divergence between the one-hot label, with weight pi1, and the prediction.

        L = [H(pi1 1_y + (1 - pi1) p) - (1 - pi1) H(p)] / Z,   Z = -(1 - pi1) log(1 - pi1)

    Gradient weight: w(p) = (1 - pi1) p (log(pi1 + (1 - pi1) p) - log p - log(1 - pi1)) / Z.
    Args:
        pi1: weight of the label; published between 0.1 and 0.7.
        scaled: divide by Z, which makes the ends ce (pi1 -> 0) and expectation (pi1 -> 1).
    Returns:
        Loss per sample [N]; the wrong-class terms cancel, so it depends on p_y alone.
    Identities: ce as pi1 tends to 0, expectation as it tends to 1, but only logarithmically.
    Caveats: over-confident. The generalised form over augmented views is another loss and not in this catalogue.
    """
    rest = 1 - pi1
    share = -1 / log(rest)
    ce, p, not_p = true
    mixed = torch.log1p(times(-rest, not_p))
    # What is left of both entropies once the terms that cancel as p tends to 1 are taken together.
    pulled = p * (mixed + ce)
    value = plus(plus(not_p, -share, pulled), -share * pi1 / rest, mixed)
    weight = plus(p, share, pulled)
    return (value, weight) if scaled else (times(rest / share, value), times(rest / share, weight))


@true_class("encouraging")
def encouraging(true: TrueClass, *, log_end: Number) -> tuple[Tensor, Number]:
    """Cross entropy with a bonus for confident correct samples, logarithmic up to log_end and linear beyond.

        L = -log p_y + log(1 - p_y),   log(1 - p) continued by its tangent above log_end

    Gradient weight: w(p) = 1 / (1 - p) up to log_end, 1 + p / (1 - log_end) above.
    Args:
        log_end: 0.75 as in the published code.
    Returns:
        Loss per sample [N]; negative above p_y = 1/2.
    Caveats: over-confident. Some call it EL, which in this catalogue is the expectation loss.
    """
    ce, p, not_p = true
    floored = not_below(not_p, 1 - log_end)
    return torch.addcdiv(ce + floored.log(), not_p - floored, floored), torch.addcdiv(number(1.0, p), p, floored)
