"""From the store to the numbers a chart needs: runs in groups that may be averaged, and what to call the groups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossbench.charts.figure import Array
from lossbench.errors import NothingFound, unknown
from lossbench.measures import SPEED, Measure, measure
from lossbench.plots.request import Request
from lossbench.spec import differing_fields
from lossbench.store import Store, nothing, queries
from lossbench.store.queries import RunBrief

__all__ = [
    "Group",
    "Quantity",
    "curves",
    "field_value",
    "finals",
    "grouped",
    "listed",
    "loss_order",
    "preset_names",
    "quantities",
    "recipe_titles",
    "select",
]


_METRIC = "top1_acc"
"""For runs of presets that are judged by nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A stored metric on one split."""

    measure: Measure
    split: str

    @property
    def title(self) -> str:
        return self.measure.title if self.measure.name in SPEED else f"{self.split} {self.measure.title}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that differ only in their seed."""

    recipe: str
    loss: str
    runs: tuple[RunBrief, ...]

    @property
    def averaged(self) -> tuple[RunBrief, ...]:
        """The runs a mean is taken over: the finished ones; before there is one, those that have not broken down.

        A curve over whoever has come that far would bend where a seed drops out, and end where the newest seed is.
        """
        done = tuple(row for row in self.runs if row.status == "done")
        sound = tuple(row for row in self.runs if row.status not in ("diverged", "failed"))
        return done or sound or self.runs


def select(store: Store, request: Request, *, with_baseline: bool = False) -> list[RunBrief]:
    """The latest run of every selected cell.

    Raises:
        NothingFound: no run matches.
    """
    selection = request.selection
    if with_baseline and selection.losses:
        selection = replace(selection, losses=(*selection.losses, request.baseline))
    rows = queries.latest(queries.briefs(store, selection))
    if not rows:
        raise nothing(store, selection)
    return rows


def loss_order(rows: Iterable[RunBrief], baseline: str) -> tuple[str, ...]:
    """Every loss once, the baseline first: the order of signs and colours."""
    losses = {row.loss for row in rows}
    return tuple(sorted(losses, key=lambda loss: (loss != baseline, loss)))


def grouped(rows: Iterable[RunBrief]) -> list[Group]:
    """Runs by recipe and loss, in the order in which recipes first ran; seeds ascending."""
    groups: dict[tuple[str, str], list[RunBrief]] = {}
    for row in rows:
        groups.setdefault((row.recipe, row.loss), []).append(row)
    return [
        Group(recipe=recipe, loss=loss, runs=tuple(sorted(runs, key=lambda row: row.seed)))
        for (recipe, loss), runs in groups.items()
    ]


def recipe_titles(store: Store, rows: Sequence[RunBrief]) -> dict[str, str]:
    """What each recipe is called: its preset, and if that has several recipes, the fields that tell them apart."""
    presets: dict[str, list[str]] = {}
    for row in rows:
        if row.recipe not in presets.setdefault(row.preset, []):
            presets[row.preset].append(row.recipe)
    titles = {}
    specs = queries.specs(store, [recipe for recipes in presets.values() if len(recipes) > 1 for recipe in recipes])
    for preset, recipes in presets.items():
        fields: set[str] = set()
        for recipe in recipes[1:]:
            fields.update(differing_fields(specs[recipes[0]]["preset"], specs[recipe]["preset"]))
        for recipe in recipes:
            values = [f"{field}={field_value(specs[recipe]['preset'], field)}" for field in sorted(fields)]
            titles[recipe] = " ".join([preset, *values])
    return titles


def quantities(store: Store, request: Request, rows: Sequence[RunBrief]) -> list[Quantity]:
    """The metrics asked for, or else the one the newest run's preset is judged by.

    Raises:
        UsageError: a metric nobody knows.
        NothingFound: no epoch, or a metric that no selected run has stored.
    """
    stored = {(each.split, each.name) for each in queries.metrics(store, request.selection)}
    if not stored:
        raise NothingFound("no selected run has stored an epoch yet")
    found = []
    for text in request.metrics or (rows[-1].metric or _METRIC,):
        split, _, name = text.rpartition("/")
        for each in (split,) if split else request.splits:
            known = measure(name, {name for _, name in stored})
            if each not in {split for split, _ in stored}:
                raise unknown("split", each, {split for split, _ in stored})
            if (each, name) not in stored:
                here = ", ".join(sorted(name for split, name in stored if split == each))
                raise NothingFound(f"no selected run has stored {each}/{name}; stored for {each}: {here}")
            found.append(Quantity(measure=known, split=each))
    return found


def curves(store: Store, request: Request, quantity: Quantity) -> dict[str, tuple[Array, Array]]:
    """The epochs and values of every selected run, by run id, in the units of the axes."""
    selection = replace(request.selection, losses=())
    found = queries.curves(store, selection, quantity.measure.name, split=quantity.split)
    scale = quantity.measure.scale
    return {each.run_id: (each.epochs.astype(np.float64), scale * each.values) for each in found}


def listed(names: Iterable[str]) -> str:
    """Up to three names, or two and how many more."""
    words = list(names)
    return ", ".join(words) if len(words) <= 3 else f"{', '.join(words[:2])} and {len(words) - 2} more"


def preset_names(rows: Iterable[RunBrief]) -> str:
    """The presets of runs, for a title; what tells their recipes apart is said above each panel."""
    return listed(dict.fromkeys(row.preset for row in rows))


def finals(
    store: Store, request: Request, quantity: Quantity, rows: Sequence[RunBrief]
) -> tuple[dict[str, float], str]:
    """The finite final value of each finished run, in the units of the axes, and the rules by which they were taken.

    Every run is read by the rule asked for, or else by the one of its own preset.

    Raises:
        NothingFound: no run has such a value.
    """
    name, split = quantity.measure.name, quantity.split
    rules = {row.run_id: request.at or row.metric_at or "last" for row in rows if row.status == "done"}
    names = " or ".join(dict.fromkeys(rules.values()))
    values = {
        each.run_id: quantity.measure.scale * each.value
        for at in dict.fromkeys(rules.values())
        for each in queries.finals(store, request.selection, name, split=split, at=at)
        if rules.get(each.run_id) == at and each.value is not None and np.isfinite(each.value)
    }
    if not values:
        at = f" at {names}" if names else ""
        raise NothingFound(f"no selected run is done and has a finite {split}/{name}{at}")
    return values, names


def field_value(spec: Mapping[str, Any], field: str) -> Any:
    """A field of a resolved preset by its dotted name.

    Raises:
        UsageError: there is no such field.
    """
    value: Any = spec
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise unknown("field", field, _leaves(spec))
        value = value[name]
    return value


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for name, value in values.items():
        names += _leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [prefix + name]
    return names
