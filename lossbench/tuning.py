"""A search for the settings of each loss of one preset: what is tried, what is chosen, what is kept of it."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lossbench import presets
from lossbench.compare.choice import choose
from lossbench.compare.question import Asker
from lossbench.compare.values import Choice
from lossbench.errors import UsageError
from lossbench.losses import resolve, sources
from lossbench.measures import Measure, measure
from lossbench.search import KNOB, Dimension, Method, Search, grid, search
from lossbench.spec import LossRef, Preset, RunSpec
from lossbench.store import Selection, Store, queries
from lossbench.sweep import cells

__all__ = ["Found", "Study", "Tried", "study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One setting of one loss."""

    trial: int
    family: str
    preset: Preset
    loss: LossRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The setting a loss ends with, and what the choice rests on."""

    tried: Tried
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The same space and number of trials for every loss."""

    preset: str
    overrides: tuple[str, ...]
    space: tuple[Dimension, ...]
    texts: tuple[str, ...]
    """The space as it was written."""
    method: Method
    trials: int
    """Of each loss; what a grid leaves of the number asked for."""
    seeds: tuple[int, ...]
    losses: Mapping[str, str]
    """As written, by their canonical texts."""
    searches: Mapping[str, Search]
    notes: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """What is tuned."""
        return tuple(each.field for each in self.space)

    @property
    def measure(self) -> Measure:
        """What settings are chosen by."""
        return measure(presets.load(self.preset, self.overrides).metric.name)

    @property
    def first(self) -> str:
        """The loss that was named first."""
        return next(iter(self.losses))

    def rounds(self) -> Iterator[list[Tried]]:
        """What to try next: all at once, unless later trials depend on earlier ones."""
        if self.method != "tpe":
            yield [self._setting(family, trial) for trial in range(self.trials) for family in self.losses]
            return
        for trial in range(self.trials):
            yield [self._setting(family, trial) for family in self.losses]

    def cells(self, tried: Sequence[Tried]) -> list[RunSpec]:
        """What those settings train."""
        return list(dict.fromkeys(cell for each in tried for cell in cells([each.preset], [each.loss], self.seeds)))

    def tell(self, store: Store, tried: Sequence[Tried], runs: Mapping[str, str]) -> None:
        """Let each search know how its trials did on the validation rows."""
        rows = queries.briefs(store, Selection(runs=tuple(runs.values())))
        asker = _asker(store, runs.values())
        declared = asker.declared(rows)
        scores = asker.finals(self.preset, declared, rows)
        for each in tried:
            ids = [runs[cell.key] for cell in self.cells([each]) if cell.key in runs]
            values = [value for run in ids if run in scores and (value := scores[run].value) is not None]
            whole = len(values) == len(self.seeds) and bool(np.isfinite(values).all())
            self.searches[each.family].tell(
                each.trial, declared.measure.sign * float(np.mean(values)) if whole else None
            )

    def found(self, store: Store, tried: Sequence[Tried], runs: Mapping[str, str]) -> list[Found]:
        """Each loss's best setting."""
        rows = queries.briefs(store, Selection(runs=tuple(runs.values())))
        asker = _asker(store, runs.values())
        declared = asker.declared(rows)
        scores = asker.finals(self.preset, declared, rows)
        specs = queries.specs(store, {row.recipe for row in rows})
        chosen, choices = choose(rows, self.fields, specs, scores, declared.measure.sign)
        by_cell = {cell.key: each for each in tried for cell in self.cells([each])}
        by_family = {row.loss: by_cell[row.key] for row in chosen}
        return [Found(tried=by_family[each.loss], choice=each) for each in choices]

    def fresh_seeds(self, count: int) -> range:
        """Seeds that took no part in choosing."""
        first = max(self.seeds) + 1
        return range(first, first + count)

    def mark(self, found: Found) -> str:
        """What is kept with the runs of a choice: the search it comes from and its budget, as JSON."""
        about = {
            "preset": self.preset,
            "overrides": self.overrides,
            "space": self.texts,
            "search": self.method,
            "trials": self.trials,
            "seeds": self.seeds,
            "losses": sorted(self.losses),
        }
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
        choice = {name: getattr(found.choice, name) for name in ("loss", "setting", "score", "tried", "runs")}
        return json.dumps({"study": digest, "fields": self.fields, "choice": choice, **about}, separators=(",", ":"))

    def _setting(self, family: str, trial: int) -> Tried:
        mine = _searched(self.losses[family], self.space)
        values = dict(zip((each.field for each in mine), self.searches[family].ask(trial), strict=True))
        knobs = ",".join(f"{name.removeprefix(KNOB)}={text}" for name, text in values.items() if name.startswith(KNOB))
        fields = [f"{name}={text}" for name, text in values.items() if not name.startswith(KNOB)]
        return Tried(
            trial=trial,
            family=family,
            preset=presets.load(self.preset, [*self.overrides, *fields]),
            loss=resolve(_with_knobs(self.losses[family], knobs)),
        )


def study(
    preset: str,
    losses: Sequence[str],
    space: Mapping[str, Dimension],
    *,
    overrides: Sequence[str],
    method: Method,
    trials: int,
    seeds: Sequence[int],
) -> Study:
    """Set up a search.

    Args:
        space: dimensions by the texts they were read from.
    Raises:
        UsageError: nothing to search, a knob no loss has, a field twice, or no validation rows to choose by.
    """
    fields = [each.field for each in space.values()]
    if not space or not losses:
        raise UsageError("name at least one --loss and one --space, such as --space optimizer.lr=log:0.01..0.3")
    if len(set(fields)) < len(fields):
        raise UsageError(f"--space names {next(each for each in fields if fields.count(each) > 1)} twice")
    if presets.load(preset, overrides).data.validation == 0:
        raise UsageError(f"{preset} has no validation rows to choose by; hold some out with -s data.validation=0.2")
    written = {str(resolve(text)): text for text in losses}
    mine = {family: _searched(text, tuple(space.values())) for family, text in written.items()}
    for field in fields:
        if field.startswith(KNOB) and not any(field == each.field for dims in mine.values() for each in dims):
            raise UsageError(f"none of the losses has the knob {field.removeprefix(KNOB)!r}")
    if method == "grid":
        trials = min(len(grid(dims, trials)) for dims in mine.values() if dims)
    lacking = {family: [each for each in fields if each not in {one.field for one in mine[family]}] for family in mine}
    notes = [
        f"{family} has no {', '.join(names)}: its {trials} trials search {', '.join(e.field for e in mine[family])}"
        if mine[family]
        else f"{family} has nothing to search: it stands as it is, against {trials} trials of the others"
        for family, names in lacking.items()
        if names
    ]
    return Study(
        preset=preset,
        overrides=tuple(overrides),
        space=tuple(space.values()),
        texts=tuple(space),
        method=method,
        trials=trials,
        seeds=tuple(seeds),
        losses=written,
        searches={family: search(method, dims, trials) for family, dims in mine.items()},
        notes=tuple(notes),
    )


def _searched(loss: str, space: Sequence[Dimension]) -> list[Dimension]:
    """The dimensions that mean something to a loss."""
    knobs = sources(resolve(loss))[0].knobs
    return [each for each in space if not each.field.startswith(KNOB) or each.field.removeprefix(KNOB) in knobs]


def _with_knobs(loss: str, knobs: str) -> str:
    if not knobs:
        return loss
    return f"{loss},{knobs}" if resolve(loss).knobs else f"{loss}:{knobs}"


def _asker(store: Store, runs: Collection[str]) -> Asker:
    return Asker(store=store, selection=Selection(runs=tuple(runs)), metric=None, at=None, answers={})
