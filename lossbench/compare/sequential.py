"""Adding seeds until every verdict is in, at an error rate that all the looks share."""

from collections.abc import Collection
from dataclasses import dataclass

from lossbench.compare.looks import planned
from lossbench.compare.losses import compare_losses
from lossbench.compare.values import Comparison, Contrast, Verdict
from lossbench.stats.sequential import look_schedule
from lossbench.store import Selection, Store

__all__ = ["DECIDED", "Look", "look", "look_schedule"]

DECIDED = (Verdict.BETTER, Verdict.WORSE, Verdict.EQUIVALENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the runs say at one of several planned looks."""

    comparison: Comparison
    waiting: dict[str, tuple[str, ...]]
    """Losses by preset for which more seeds could still decide; presets without any are left out."""

    @property
    def decided(self) -> bool:
        """Whether no contrast needs more seeds."""
        return not self.waiting


def look(
    store: Store,
    selection: Selection,
    *,
    looks: tuple[int, ...],
    baseline: str = "ce",
    alpha: float = 0.05,
    min_effect: float | None = None,
    allow: Collection[str] = (),
) -> Look:
    """Judge the runs there are at the level of one of `looks`; arguments as of `compare_losses`.

    Better, worse and equivalent end the wait for a loss, and so does a loss or a baseline of which no run has a value.
    """
    found = compare_losses(
        store,
        selection,
        baseline=baseline,
        alpha=alpha,
        min_effect=min_effect,
        allow=allow,
        plan=planned(looks, alpha),
    )
    waiting = {
        panel.preset: tuple(each.candidate.loss for each in panel.contrasts if _waits(each)) for panel in found.panels
    }
    return Look(comparison=found, waiting={preset: losses for preset, losses in waiting.items() if losses})


def _waits(contrast: Contrast) -> bool:
    return contrast.verdict not in DECIDED and contrast.candidate.n > 0 and contrast.baseline.n > 0
