"""Adding seeds until every verdict is in, at an error rate that all the looks share."""

from collections.abc import Collection
from dataclasses import dataclass

from lossbench.compare.losses import compare_losses
from lossbench.compare.values import Comparison, Contrast, Rules, Verdict
from lossbench.stats.multiplicity import simultaneous_level
from lossbench.stats.sequential import look_schedule, nominal_level
from lossbench.store import Selection, Store

__all__ = ["Look", "look", "look_schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the runs say at one of several planned looks."""

    comparison: Comparison
    looks: tuple[int, ...]
    """Seeds at which the sweep looks; the plan that the error rate rests on."""
    level: float
    """p below this decides for better or worse at any one look, for each of the losses."""
    equivalence_level: float
    decisions: dict[tuple[str, str], Verdict | None]
    """By preset and loss; None is not decided yet."""

    @property
    def decided(self) -> bool:
        """Whether no contrast needs more seeds."""
        return None not in self.decisions.values()

    @property
    def statement(self) -> str:
        """The rule in a sentence, to be printed with the verdicts."""
        alpha = self.comparison.panels[0].rules.alpha
        at = ", ".join(map(str, self.looks))
        return (
            f"Looks at {at} seeds, each at level {self.level:.4g} per loss (Pocock): the chance that any look at any "
            f"loss of a preset says better or worse without a difference is at most {100 * alpha:g} %."
        )


def look(
    store: Store,
    selection: Selection,
    *,
    looks: tuple[int, ...],
    baseline: str = "ce",
    metric: str | None = None,
    at: str | None = None,
    alpha: float = 0.05,
    min_effect: float | None = None,
    allow: Collection[str] = (),
) -> Look:
    """Judge the runs there are, at the level of one of `looks`; arguments as of `compare_losses`.

    Better and worse are decided where p is below the two-sided level, equivalence where both one-sided tests are below
    the one-sided one, each divided by the number of losses. Contrasts with lost runs are judged on the pairs they have.
    """
    found = compare_losses(
        store, selection, baseline=baseline, metric=metric, at=at, alpha=alpha, min_effect=min_effect, allow=allow
    )
    losses = max(len(panel.contrasts) for panel in found.panels)
    family = 1 - simultaneous_level(alpha, losses, "holm")
    level, equivalence = nominal_level(looks, family), nominal_level(looks, family, sides=1)
    return Look(
        comparison=found,
        looks=looks,
        level=level,
        equivalence_level=equivalence,
        decisions={
            (panel.preset, each.candidate.loss): _decide(each, level, equivalence, panel.rules)
            for panel in found.panels
            for each in panel.contrasts
        },
    )


def _decide(contrast: Contrast, level: float, equivalence_level: float, rules: Rules) -> Verdict | None:
    if not rules.judged or contrast.p is None or contrast.gain is None:
        return Verdict.EQUIVALENT if contrast.identical and contrast.verdict is Verdict.EQUIVALENT else None
    if contrast.p < level:
        return Verdict.BETTER if contrast.gain > 0 else Verdict.WORSE
    if contrast.equivalence_p is not None and contrast.equivalence_p < equivalence_level:
        return Verdict.EQUIVALENT
    return None
