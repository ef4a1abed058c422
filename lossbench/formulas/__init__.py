"""Losses of the true class's probability p_y as plain mathematics: names, knobs, value and gradient weight.

    >>> from lossbench import formulas
    >>> _, curve = formulas.over_probability("focal:gamma=3")
    >>> value, weight = curve(np.array([0.2, 0.8]))

What is declared here `lossbench.losses` trains with, by kernels of its own that a test holds equal to these formulas.
Nothing here imports torch, so a chart of losses costs no more than a chart of runs.
"""

from lossbench.formulas._registry import Array, Curve, Formula, canonical, catalogue, formula, get, over_probability

__all__ = ["Array", "Curve", "Formula", "canonical", "catalogue", "formula", "get", "over_probability"]
