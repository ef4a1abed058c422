"""From the store to a `Comparison`: which runs, which numbers, which belong together."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from lossbench.compare.across import across, ranking
from lossbench.compare.choice import budget_warnings, choose, confirmed, refuse_unknown
from lossbench.compare.contrast import contrasts
from lossbench.compare.fairness import refuse_differences, refuse_unknown_fields, warn
from lossbench.compare.looks import Looks, planned, recorded
from lossbench.compare.question import Asker, Question
from lossbench.compare.values import Arm, Choice, Comparison, Panel, Plan, Rules, listed
from lossbench.errors import NotComparable, NothingFound, UsageError, unknown
from lossbench.spec import Published
from lossbench.stats.multiplicity import Correction
from lossbench.store import Selection, Store, nothing, queries
from lossbench.store.queries import Final, RunBrief

__all__ = ["DEFAULT_MIN_EFFECT", "compare_losses"]

DEFAULT_MIN_EFFECT = 0.002
"""For metrics that are fractions: 0.2 points, about half of the usual spread between seeds on CIFAR-100."""

_Key = TypeVar("_Key")


def compare_losses(
    store: Store,
    selection: Selection,
    *,
    baseline: str = "ce",
    metric: str | None = None,
    at: str | None = None,
    alpha: float = 0.05,
    correct: Correction = "holm",
    min_effect: float | None = None,
    allow: Collection[str] = (),
    tuned: Sequence[str] = (),
    published: Sequence[Published] = (),
    plan: Plan | None = None,
) -> Comparison:
    """Compare every selected loss with the baseline, preset by preset.

    Args:
        selection: which runs; its losses name candidates, the baseline takes part whatever they say.
        metric: `name` on the test set, `split/name`, or one of `lossbench.compare.derived`; by default what each
            preset declares.
        at: epoch rule; by default what each preset declares.
        min_effect: smallest difference that matters, in the unit people see: points for fractions.
        allow: fields of the preset that may differ between the runs.
        tuned: fields of the preset, and knobs as `loss.knob`, of which each loss gets the value that is best on the
            validation rows by what the preset declares; only the runs at that value are compared.
        plan: the looks these runs were planned with; by default what the store tells of them. Its level takes the place
            of alpha.
        published: figures over many presets, kept where they are about all of those compared.
    Raises:
        NothingFound: no run, no baseline, no candidate, or no value of the metric.
        NotComparable: the runs of a preset differ in more than loss and seed, or no seeds can be compared.
        UsageError: an unknown metric or loss, or an epoch rule that does not fit the runs.
    """
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha}; it must lie between 0 and 0.5")
    if min_effect is not None and not 0 < min_effect < math.inf:
        raise UsageError(f"the smallest difference that matters is {min_effect:g}; it must be above 0 and finite")
    everything = queries.briefs(store, replace(selection, losses=()))
    if not everything:
        raise nothing(store, selection)
    rows = _candidates(everything, baseline, selection.losses)
    specs = _specs(store, rows, every=bool(tuned or allow))
    refuse_unknown_fields(allow, specs.values())
    judge = _Judge(
        ask=Asker(store=store, selection=replace(selection, losses=()), metric=metric, at=at, answers={}),
        specs=specs,
        looks=recorded(store),
        studies={run: text for (run, _), text in queries.marks(store, "tuning").items()},
        baseline=baseline,
        allow=allow,
        tuned=tuned,
        plan=plan,
        rules=lambda question, level, censored: _rules(question, level, correct, min_effect, censored=censored),
        alpha=alpha,
    )
    panels: list[Panel] = []
    warnings: list[str] = []
    for preset, mine in _grouped(rows, lambda row: row.preset).items():
        panel, told = judge.panel(preset, queries.latest(mine))
        panels += [panel] if panel else []
        warnings += told
    _refuse_emptiness(panels, baseline, warnings)
    questions = {(each.measure.name, each.split) for each in panels}
    if len(questions) > 1:
        warnings.append("the presets are judged by different metrics; pool them by naming one with --metric")
    together = panels if len(questions) == 1 else []
    return Comparison(
        baseline=baseline,
        panels=tuple(panels),
        across=across(together),
        ranking=ranking(together),
        warnings=tuple(warnings),
        published=tuple(
            each for each in published if all(fnmatchcase(panel.preset, each.preset or "*") for panel in panels)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """What is asked of every preset."""

    ask: Asker
    specs: Mapping[str, dict[str, Any]]
    looks: Looks
    studies: Mapping[str, str]
    """What `lossbench tune` keeps with the runs of its choices, by run id."""
    baseline: str
    allow: Collection[str]
    tuned: Sequence[str]
    plan: Plan | None
    alpha: float
    rules: Callable[[Question, float, bool], Rules]
    """By question, alpha and whether any run has a value that is only known to be large."""

    def panel(self, preset: str, rows: Sequence[RunBrief]) -> tuple[Panel | None, list[str]]:
        """One preset from its runs to its verdicts, and what has to be said of them; None where nothing compares."""
        rows, choices, tuned, told = self._chosen(preset, rows)
        by_loss = _grouped(rows, lambda row: row.loss)
        if self.baseline not in by_loss or len(by_loss) == 1:
            return None, [f"{preset} is left out: it has runs of {', '.join(sorted(by_loss))} only"]
        told += _refuse(preset, by_loss, self.specs, allow=self.allow, tuned=tuned)
        question = self.ask.question(rows)
        finals = self.ask.finals(preset, question, rows)
        arms = {loss: _arm(loss, runs, finals) for loss, runs in sorted(by_loss.items())}
        candidates = [arm for loss, arm in arms.items() if loss != self.baseline]
        plan = self._plan(preset, question, tuned, [arm.loss for arm in candidates])
        censored = any(arm.censored for arm in arms.values())
        rules = self.rules(question, plan.level if plan else self.alpha, censored)
        panel = Panel(
            preset=preset,
            measure=question.measure,
            split=question.split,
            at=question.at,
            exploratory=question.exploratory,
            rules=rules,
            contrasts=tuple(contrasts(arms[self.baseline], candidates, sign=question.measure.sign, rules=rules)),
            choices=choices,
            tuned=tuned,
            plan=plan,
        )
        planned_seeds = any(each.search for each in choices)
        told += budget_warnings(preset, choices)
        told += warn(preset, list(arms.values()), by_loss, planned_seeds=planned_seeds)
        looked, counted = self.looks.of(panel, self.baseline), self.looks.know(panel, self.baseline)
        return replace(panel, looked=looked, counted=counted), told

    def _chosen(
        self, preset: str, rows: Sequence[RunBrief]
    ) -> tuple[Sequence[RunBrief], tuple[Choice, ...], tuple[str, ...], list[str]]:
        """The runs to judge, how each loss came by its setting, the fields of that, and what is to be said."""
        if not self.tuned:
            return confirmed(preset, rows, self.studies)
        refuse_unknown(rows, self.tuned, self.specs)
        declared = self.ask.declared(rows)
        scores = self.ask.finals(preset, declared, rows)
        chosen, choices = choose(rows, self.tuned, self.specs, scores, declared.measure.sign)
        return chosen, choices, tuple(self.tuned), []

    def _plan(self, preset: str, question: Question, tuned: Sequence[str], losses: Sequence[str]) -> Plan | None:
        asked = [question.measure.name, question.split, question.at, *tuned]
        found = self.plan or self.looks.plan(preset, self.baseline, losses, asked)
        return found if found is None or found.alpha == self.alpha else planned(found.looks, self.alpha)


def _candidates(rows: Sequence[RunBrief], baseline: str, patterns: Sequence[str]) -> list[RunBrief]:
    losses = sorted({row.loss for row in rows})
    if baseline not in losses:
        raise NothingFound(f"the baseline has no runs: {unknown('loss', baseline, losses)}")
    for pattern in patterns:
        if not any(fnmatchcase(loss, pattern) for loss in losses):
            raise NothingFound(f"no runs: {unknown('loss', pattern, losses)}")
    wanted = {loss for loss in losses if not patterns or any(fnmatchcase(loss, each) for each in patterns)}
    if not wanted - {baseline}:
        raise NothingFound(f"only {baseline} has runs; nothing to compare it with")
    return [row for row in rows if row.loss in wanted or row.loss == baseline]


def _specs(store: Store, rows: Sequence[RunBrief], *, every: bool) -> dict[str, dict[str, Any]]:
    """The specs of the recipes that have to be looked into, fetched once for all presets."""
    by_preset = _grouped(rows, lambda row: row.preset)
    recipes = [{row.recipe for row in mine} for mine in by_preset.values()]
    wanted = set().union(*(each for each in recipes if every or len(each) > 1))
    return queries.specs(store, wanted) if wanted else {}


def _refuse(
    preset: str,
    by_loss: Mapping[str, Sequence[RunBrief]],
    specs: Mapping[str, dict[str, Any]],
    *,
    allow: Collection[str],
    tuned: Sequence[str],
) -> list[str]:
    recipes = {row.recipe for runs in by_loss.values() for row in runs}
    if len(recipes) == 1:
        return []
    found = refuse_differences(preset, {each: specs[each] for each in recipes}, [*allow, *tuned])
    fields = [field for field in found if field not in tuned]
    if not fields:
        return []
    path = fields[0] if fields[0] == "numbers_version" else f"preset.{fields[0]}"
    for loss, runs in by_loss.items():
        seed, count = Counter(row.seed for row in runs).most_common(1)[0]
        if count > 1:
            raise NotComparable(
                f"{preset}: {loss} has {count} runs of seed {seed} that differ in {', '.join(fields)}; "
                f"choose one of them, as with --where \"spec->>'$.{path}' = ...\""
            )
    return [f"{preset}: the runs differ in {', '.join(fields)}, as --allow permits"]


def _arm(loss: str, runs: Sequence[RunBrief], finals: Mapping[str, Final]) -> Arm:
    values: dict[int, float] = {}
    ids: dict[int, str] = {}
    lost: dict[str, list[int]] = {"diverged": [], "failed": [], "unfinished": [], "not_finite": [], "censored": []}
    for row in sorted(runs, key=lambda row: row.seed):
        if row.status != "done":
            lost[row.status if row.status in ("diverged", "failed") else "unfinished"].append(row.seed)
            continue
        final = finals.get(row.run_id)
        if final is not None and final.value is not None and math.isfinite(final.value):
            values[row.seed], ids[row.seed] = final.value, row.run_id
        else:
            never = final is not None and final.epoch is None
            lost["censored" if never else "not_finite"].append(row.seed)
    return Arm(loss=loss, values=values, runs=ids, **{name: tuple(seeds) for name, seeds in lost.items()})


def _rules(question: Question, alpha: float, correct: Correction, min_effect: float | None, *, censored: bool) -> Rules:
    default = DEFAULT_MIN_EFFECT if question.measure.unit == "fraction" else None
    return Rules(
        alpha=alpha,
        correct=correct,
        min_effect=default if min_effect is None else min_effect / question.measure.scale,
        judged=question.at != "best-test" and question.measure.better != "neither" and not censored,
    )


def _refuse_emptiness(panels: Sequence[Panel], baseline: str, warnings: Sequence[str]) -> None:
    if not panels:
        raise NothingFound(f"no preset has both {baseline} and another loss: {'; '.join(warnings)}")
    if not any(arm.n for panel in panels for arm in panel.arms):
        lost = sum((Counter(arm.lost) for panel in panels for arm in panel.arms), Counter[str]())
        what = ", ".join(f"{count} {name}" for name, count in lost.items())
        raise NothingFound(f"{', '.join(panel.preset for panel in panels)}: no run has a value to compare ({what})")
    found = [(panel, contrast) for panel in panels for contrast in panel.contrasts]
    if all(contrast.n == 0 and contrast.baseline.n and contrast.candidate.n for _, contrast in found):
        panel, first = found[0]
        seeds = "; ".join(f"{arm.loss}: {listed(tuple(arm.values))}" for arm in (first.baseline, first.candidate))
        raise NotComparable(
            f"{panel.preset}: the losses have no seed in common ({seeds}); run the same seeds, or at least 3 of each"
        )


def _grouped(rows: Iterable[RunBrief], key: Callable[[RunBrief], _Key]) -> dict[_Key, list[RunBrief]]:
    groups: dict[_Key, list[RunBrief]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
