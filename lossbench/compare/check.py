"""A claim about every candidate, for scripts: shown, refuted, or not decided by these runs."""

from typing import Literal

from lossbench.compare.values import Comparison, Contrast, Rules, Verdict
from lossbench.errors import ExitCode

__all__ = ["Claim", "check"]

Claim = Literal["better", "not-worse", "equivalent"]


def check(value: Comparison, claim: Claim) -> ExitCode:
    """DONE where every contrast shows the claim, REFUTED where any contradicts it, else UNDECIDED.

    better: the verdict is better; contradicted by worse and equivalent.
    not-worse: better, equivalent, or a joint interval above -min_effect; contradicted by worse.
    equivalent: the verdict is equivalent; contradicted by a joint interval that lies beyond +-min_effect.
    """
    found = [_one(each, panel.rules, claim) for panel in value.panels for each in panel.contrasts]
    return next((code for code in (ExitCode.REFUTED, ExitCode.UNDECIDED) if code in found), ExitCode.DONE)


def _one(contrast: Contrast, rules: Rules, claim: Claim) -> ExitCode:
    verdict, low = contrast.verdict, contrast.joint_low
    if verdict is None:
        return ExitCode.UNDECIDED
    match claim:
        case "better":
            shown, refuted = verdict is Verdict.BETTER, verdict in (Verdict.WORSE, Verdict.EQUIVALENT)
        case "not-worse":
            bounded = low is not None and rules.min_effect is not None and low > -rules.min_effect
            refuted = verdict is Verdict.WORSE
            shown = verdict in (Verdict.BETTER, Verdict.EQUIVALENT) or (bounded and not refuted)
        case "equivalent":
            shown, refuted = verdict is Verdict.EQUIVALENT, contrast.beyond is True
    return ExitCode.DONE if shown else ExitCode.REFUTED if refuted else ExitCode.UNDECIDED
