"""Several comparisons at once: adjusted p values and the width of simultaneous intervals."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Correction", "adjust", "simultaneous_level"]

Correction = Literal["holm", "bh", "none"]


def adjust(p: ArrayLike, method: Correction) -> NDArray[np.float64]:
    """Adjusted p values [m] in the order given; nan counts as an untestable hypothesis with p = 1.

    `holm` holds the chance of any false alarm (Holm 1979): p_(j) * (m - j + 1), running maximum, at most 1.
    `bh` holds the expected share of false alarms among the discoveries (Benjamini & Hochberg 1995):
    p_(j) * m / j, running minimum from the largest, at most 1. `none` leaves them as they are.
    """
    raw = np.nan_to_num(np.asarray(p, dtype=np.float64), nan=1.0)
    if method == "none":
        return raw
    m = raw.size
    order = np.argsort(raw, kind="stable")
    rank = np.arange(1, m + 1)
    if method == "holm":
        steps = np.maximum.accumulate(raw[order] * (m - rank + 1))
    else:
        steps = np.minimum.accumulate((raw[order] * m / rank)[::-1])[::-1]
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def simultaneous_level(alpha: float, m: int, method: Correction) -> float:
    """Level of each interval so that all m hold together (Bonferroni); 1 - alpha where nothing is corrected."""
    return 1 - alpha if method == "none" else 1 - alpha / m
