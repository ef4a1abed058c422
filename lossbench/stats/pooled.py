"""One mean difference from several presets, each with its own standard error."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lossbench.stats.estimate import Estimate

__all__ = ["Pooled", "random_effects"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The pooled difference, and how far the presets disagree about it."""

    estimate: Estimate
    tau: float
    """Standard deviation of the true differences between presets."""
    i_squared: float
    """Share of the variation between presets that is not chance, 0 to 1."""
    q: float
    """Cochran's Q, chi-square with k - 1 degrees of freedom if all presets had the same true difference."""


def random_effects(differences: ArrayLike, errors: ArrayLike) -> Pooled:
    """Random-effects mean: DerSimonian & Laird 1986 for tau^2, Hartung & Knapp 2001 for the standard error.

        w_i = 1/se_i^2,   Q = sum w_i (d_i - d_w)^2,   tau^2 = max(0, (Q - (k - 1)) / (sum w - sum w^2 / sum w))
        v_i = 1/(se_i^2 + tau^2),   d = sum v_i d_i / sum v
        se^2 = max(1, sum v_i (d_i - d)^2 / (k - 1)) / sum v,   df = k - 1

    The floor at 1 keeps presets that agree by luck from giving a narrower interval than their own errors allow.

    Args:
        differences: one per preset [k], k >= 2.
        errors: their standard errors [k], all > 0.
    """
    d, variance = np.asarray(differences, dtype=np.float64), np.asarray(errors, dtype=np.float64) ** 2
    df = d.size - 1
    w = 1 / variance
    q = float(w @ (d - w @ d / w.sum()) ** 2)
    tau_squared = max(0.0, (q - df) / float(w.sum() - w @ w / w.sum()))
    v = 1 / (variance + tau_squared)
    mean = float(v @ d / v.sum())
    factor = max(1.0, float(v @ (d - mean) ** 2) / df)
    return Pooled(
        estimate=Estimate(value=mean, se=math.sqrt(factor / float(v.sum())), df=df),
        tau=math.sqrt(tau_squared),
        i_squared=max(0.0, 1 - df / q) if q > 0 else 0.0,
        q=q,
    )
