"""Are these runs one experiment? What must not differ stops the comparison, what should not is said."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from lossbench.compare.values import Arm, listed
from lossbench.errors import NotComparable, unknown
from lossbench.spec import Preset, differing_fields
from lossbench.store.queries import RunBrief, flat

__all__ = ["refuse_differences", "warn"]

_DOCUMENTATION = {entry.name for entry in dataclasses.fields(Preset) if entry.metadata.get("documentation")}

_PROVENANCE = {
    "lossbench": "lossbench version",
    "git_commit": "code revision",
    "torch": "torch version",
    "device_name": "device",
}


def refuse_differences(
    preset: str, recipes: Mapping[str, Mapping[str, Any]], allow: Collection[str]
) -> tuple[str, ...]:
    """The fields in which the recipes of one preset differ, all of them allowed.

    Args:
        recipes: resolved specs by recipe.
        allow: dotted fields of the preset that may differ; `optimizer` stands for all of its fields.
    Raises:
        NotComparable: a field differs that is not allowed to.
    """
    specs = [_recipe(spec) for spec in recipes.values()]
    fields = sorted({field for spec in specs[1:] for field in differing_fields(specs[0], spec)})
    barred = [field for field in fields if not any(field == each or field.startswith(f"{each}.") for each in allow)]
    if barred:
        values = "; ".join(f"{field} is {_values(specs, field)}" for field in barred)
        raise NotComparable(
            f"{preset}: the runs differ in more than loss and seed: {values}; "
            f"choose some with --where, compare each loss at its best on validation with --tuned {barred[0]}, "
            f"or accept it with --allow {barred[0]}"
        )
    return tuple(fields)


def refuse_unknown_fields(allow: Collection[str], specs: Iterable[Mapping[str, Any]]) -> None:
    """Check the names of fields that may differ.

    Raises:
        UsageError: no recipe has such a field, nor a group of fields of that name.
    """
    leaves = {name for spec in specs for name, _ in flat(_recipe(spec))}
    known = leaves | {name.rpartition(".")[0] for name in leaves if "." in name}
    for field in allow:
        if field not in known:
            raise unknown("field", field, known)


def _recipe(spec: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in spec["preset"].items() if name not in _DOCUMENTATION}
    return fields | {"numbers_version": spec["numbers_version"]}


def _values(specs: Sequence[Mapping[str, Any]], field: str) -> str:
    found = []
    for spec in specs:
        value: Any = spec
        for name in field.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        found.append(str(value))
    return " or ".join(sorted(set(found)))


def warn(
    preset: str, arms: Sequence[Arm], rows: Mapping[str, Sequence[RunBrief]], *, planned_seeds: bool = False
) -> list[str]:
    """Sentences on what may explain a difference besides the loss.

    Args:
        arms: the results, baseline included.
        rows: the runs behind them, by loss.
        planned_seeds: whether a search has set the seeds, so that nobody can have picked them.
    """
    found = []
    for field, title in _PROVENANCE.items():
        by_loss = {arm.loss: {str(getattr(row, field)) for row in rows[arm.loss]} for arm in arms}
        if len(set().union(*by_loss.values())) > 1:
            parts = "; ".join(f"{loss}: {', '.join(sorted(values))}" for loss, values in by_loss.items())
            found.append(f"{preset}: the runs differ in {title} ({parts})")
    dirty = sorted({arm.loss for arm in arms for row in rows[arm.loss] if row.git_dirty})
    if dirty:
        found.append(f"{preset}: runs of {', '.join(dirty)} were made with uncommitted changes to the code")
    picked = {arm.loss: arm.seeds for arm in arms if arm.seeds != tuple(range(len(arm.seeds)))}
    if picked and not planned_seeds:
        parts = "; ".join(f"{loss}: {listed(seeds)}" for loss, seeds in picked.items())
        found.append(f"{preset}: the seeds are not 0 to n-1 but a hand-picked list ({parts})")
    return found
