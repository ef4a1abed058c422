"""Which word the numbers allow. The rule is fixed here and nowhere else."""

from lossbench.compare.values import Rules, Verdict
from lossbench.stats.estimate import Estimate

__all__ = ["FEWEST", "judge"]

FEWEST = 3
"""Pairs below which a spread says nothing."""


def judge(
    estimate: Estimate, *, n: int, p_adjusted: float, detectable: float, identical: bool, rules: Rules
) -> Verdict | None:
    """The verdict on one contrast; the first rule that fits decides.

    1. Fewer than 3 pairs, or a difference that is the same in every seed and so has no error: insufficient data.
    2. Adjusted p of the t test below alpha: better or worse, by the sign of the difference.
    3. Both one-sided tests against +- min_effect below alpha, or identical columns: equivalent.
    4. The difference visible with the wanted power is larger than min_effect: underpowered.
    5. Else: no detectable difference.

    Args:
        estimate: oriented difference, positive is better.
        p_adjusted: its p after correction for the number of candidates.
        detectable: smallest true difference that this design sees with the wanted power.
        identical: the two columns are the same number for number.
    Returns:
        None where `rules` allow no verdict.
    """
    if not rules.judged:
        return None
    if n < FEWEST:
        return Verdict.INSUFFICIENT
    if identical:
        return Verdict.NO_DIFFERENCE if rules.min_effect is None else Verdict.EQUIVALENT
    if not estimate.se > 0:
        return Verdict.INSUFFICIENT
    if p_adjusted < rules.alpha:
        return Verdict.BETTER if estimate.value > 0 else Verdict.WORSE
    if rules.min_effect is None:
        return Verdict.NO_DIFFERENCE
    if estimate.equivalence_p(rules.min_effect) < rules.alpha:
        return Verdict.EQUIVALENT
    return Verdict.UNDERPOWERED if detectable > rules.min_effect else Verdict.NO_DIFFERENCE
