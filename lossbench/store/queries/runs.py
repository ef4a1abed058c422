"""Questions about runs and cells: which there are, how far they are, what they were made from."""

import difflib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

import duckdb

from lossbench.errors import NothingFound, UsageError, unknown
from lossbench.store.selection import Selection
from lossbench.store.store import Store, first_line

__all__ = [
    "Cell",
    "RunBrief",
    "RunDetail",
    "RunRow",
    "briefs",
    "cells",
    "chosen",
    "known",
    "latest",
    "listed",
    "marks",
    "named",
    "provenances",
    "resolve",
    "run",
    "runs",
    "specs",
]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as listings know it; times are in UTC, `epoch` counts finished epochs and `epochs` planned ones."""

    run_id: str
    name: str | None
    preset: str
    loss: str
    seed: int
    status: str
    epoch: int
    epochs: int
    started_at: datetime
    ended_at: datetime | None
    last_at: datetime
    seconds: float
    key: str
    recipe: str
    dataset: str | None
    model: str | None
    metric: str | None
    metric_at: str | None
    host: str | None
    device: str | None
    device_name: str | None
    lossbench: str | None
    git_commit: str | None
    git_dirty: bool | None
    torch: str | None
    reason: str
    tags: list[str]
    note: str
    removed: bool
    attempts: int


class RunBrief(NamedTuple):
    """One run as comparisons and charts know it, of which they read thousands at once: fields of `RunRow`."""

    run_id: str
    preset: str
    loss: str
    seed: int
    status: str
    epochs: int
    key: str
    recipe: str
    metric: str | None
    metric_at: str | None
    device_name: str | None
    lossbench: str | None
    git_commit: str | None
    git_dirty: bool | None
    torch: str | None


@dataclass(frozen=True, slots=True)
class RunDetail:
    """One run in full: its row, its resolved spec, where its latest process ran, what happened when, and the values
    (split, name, epoch, value) its metrics came to."""

    row: RunRow
    spec: dict[str, Any]
    provenance: dict[str, Any]
    events: list[tuple[datetime, str, str]]
    metrics: list[tuple[str, str, int, float]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the bench and its best attempt so far."""

    key: str
    run_id: str
    status: str
    epoch: int


_COLUMNS = ", ".join(entry.name for entry in fields(RunRow))

_BRIEFS = f"SELECT {', '.join(RunBrief._fields)} FROM run WHERE {{condition}} ORDER BY started_at, run_id"

_LISTED = """
SELECT run_id, count(*) OVER () FROM run WHERE {condition}
ORDER BY {order}, started_at DESC, run_id DESC LIMIT coalesce($limit, 9223372036854775807)
"""

_FEW = 1000
_OF_FEW = f"SELECT {_COLUMNS} FROM run WHERE list_contains($runs, run_id)"
"""This condition reaches the tables below the view, which is then not made of all runs first."""

_DETAIL = "SELECT spec, provenance FROM run WHERE run_id = $run"

_VALUES = "SELECT split, name, epoch, value FROM final WHERE run_id = $run ORDER BY ALL"

_PROVENANCES = "SELECT run_id, provenance FROM run WHERE {condition} ORDER BY started_at, run_id"

_HISTORY = """
SELECT time, 'started', CASE WHEN from_epoch = 0 THEN '' ELSE 'after epoch ' || from_epoch END, seq
FROM started WHERE run_id = $run
UNION ALL SELECT time, status, reason, seq FROM ended WHERE run_id = $run
UNION ALL SELECT time, field, value, seq FROM mark WHERE run_id = $run
ORDER BY ALL
"""

_CELLS = "SELECT key, run_id, status, epoch FROM cell"

_SPECS = """
SELECT recipe, arg_max(spec, time) FROM started
WHERE $recipes IS NULL OR recipe IN (SELECT unnest($recipes)) GROUP BY recipe
"""

_MARKS = """
SELECT run_id, field, arg_max(value, row(time, seq)) FROM mark WHERE starts_with(field, $field)
GROUP BY run_id, field ORDER BY ALL
"""

_ENDED = ("done", "diverged")

_KNOWN = frozenset({"preset", "loss", "seed", "status", "recipe", "key", "run_id", "name", "dataset", "model"})


def runs(store: Store, selection: Selection | None = None, *, newest_first: bool = False) -> list[RunRow]:
    """The selected runs in the order they began.

    Raises:
        UsageError: the selection's own expression is wrong.
    """
    condition, values = chosen(store, selection or Selection())
    direction = "DESC" if newest_first else "ASC"
    order = f"ORDER BY started_at {direction}, run_id {direction}"
    found = store.rows(f"SELECT {_COLUMNS} FROM run WHERE {condition} {order}", values)
    return [RunRow(*row) for row in found]


def briefs(store: Store, selection: Selection) -> list[RunBrief]:
    """The selected runs in the order they began, with no more than comparisons and charts need.

    Raises:
        UsageError: the selection's own expression is wrong.
    """
    condition, values = chosen(store, selection)
    return list(map(RunBrief._make, store.rows(_BRIEFS.format(condition=condition), values)))


def latest(rows: Iterable[RunBrief]) -> list[RunBrief]:
    """The newest run of each cell that came to an end, or the newest at all; rows come in the order they began."""
    found: dict[tuple[str, str, int], RunBrief] = {}
    for row in rows:
        cell = (row.recipe, row.loss, row.seed)
        if cell not in found or row.status in _ENDED or found[cell].status not in _ENDED:
            found[cell] = row
    return list(found.values())


def listed(
    store: Store, selection: Selection, *, by: str = "started_at", limit: int | None = None
) -> tuple[list[RunRow], int]:
    """The last so many of the selected runs in the order of a field, `-field` for the other way round, and how many
    there are in all; those without a value come first, and equal ones in the order they began.

    Raises:
        UsageError: there is no such field, or the selection's own expression is wrong.
    """
    name = by.removeprefix("-")
    fields_known = [entry.name for entry in fields(RunRow)]
    if name not in fields_known:
        raise unknown("field", name, fields_known)
    condition, values = chosen(store, selection)
    # Backwards, so that the last come first; and the ids alone, since the rest is slow to read of many runs.
    order = f"{name} ASC NULLS FIRST" if by.startswith("-") else f"{name} DESC NULLS LAST"
    found = store.rows(_LISTED.format(condition=condition, order=order), {**values, "limit": limit})
    ids = [run_id for run_id, _ in reversed(found)]
    whole = runs(store, selection) if len(ids) > _FEW else [RunRow(*row) for row in store.rows(_OF_FEW, {"runs": ids})]
    rows = {row.run_id: row for row in whole}
    return [rows[run_id] for run_id in ids], found[0][1] if found else 0


def chosen(store: Store, selection: Selection) -> tuple[str, dict[str, Any]]:
    """The selection's condition and parameters, after a check of the part people write.

    Raises:
        UsageError: `where` is no SQL expression over the `run` view.
    """
    if selection.where is not None:
        # Tried by itself first: what is no single expression could otherwise end the condition it is put into.
        trial = f"SELECT count(*) FROM run WHERE ({selection.where}\n)"
        try:
            if not selection.where.strip() or len(store.connection.extract_statements(trial)) != 1:
                raise UsageError(f"--where {selection.where!r} is not one expression, such as seed < 3")
            store.rows(trial)
        except duckdb.Error as error:
            raise UsageError(f"--where {selection.where!r}: {first_line(error)}") from error
    return selection.condition()


def resolve(store: Store, selectors: Sequence[str], *, removed: bool = False) -> list[str]:
    """The ids of the runs people mean by an id or its beginning, a name, `@last`, `@last-2` or `tag:word`.

    An id or a name means its run, removed or not; `@last` and `tag:` look among those that are as `removed` says.

    Raises:
        UsageError: a beginning fits several runs, or a selector fits none though there are runs.
        NothingFound: there are no runs, or none has the tag.
    """
    found = store.rows("SELECT run_id, name, tags, removed FROM run ORDER BY started_at DESC, run_id DESC")
    if not found and selectors:
        raise NothingFound("there are no runs in this store yet")
    ids = [run_id for run_id, *_ in found]
    names = {name: run_id for run_id, name, *_ in reversed(found) if name}
    tags = {run_id: words for run_id, _, words, is_removed in found if is_removed == removed}
    return list(dict.fromkeys(run_id for text in selectors for run_id in _resolve(text, ids, names, tags)))


def named(store: Store, name: str) -> str | None:
    """The run that is called so, the latest where imports made it several."""
    found = store.rows(
        "SELECT run_id FROM run WHERE name = $name ORDER BY started_at DESC, run_id DESC", {"name": name}
    )
    return found[0][0] if found else None


def run(store: Store, selector: str) -> RunDetail:
    """One run in full.

    Raises:
        UsageError: the selector fits none or several.
        NothingFound: there are no runs.
    """
    ids = resolve(store, [selector])
    if len(ids) != 1:
        raise UsageError(f"{selector!r} names {len(ids)} runs: {', '.join(ids[:5])}; name one")
    (row,) = store.rows(f"SELECT {_COLUMNS} FROM run WHERE run_id = $run", {"run": ids[0]})
    ((spec, provenance),) = store.rows(_DETAIL, {"run": ids[0]})
    events = [(time, kind, text or "") for time, kind, text, _ in store.rows(_HISTORY, {"run": ids[0]})]
    values = store.rows(_VALUES, {"run": ids[0]})
    return RunDetail(RunRow(*row), json.loads(spec), json.loads(provenance), events, values)


def cells(store: Store) -> dict[str, Cell]:
    """The best attempt at every cell: done, else diverged, running, interrupted or lost, failed; furthest first."""
    return {row[0]: Cell(*row) for row in store.rows(_CELLS)}


def specs(store: Store, recipes: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """One resolved spec of each recipe."""
    wanted = None if recipes is None else list(recipes)
    found = store.rows(_SPECS, {"recipes": wanted})
    return {recipe: json.loads(spec) for recipe, spec in found}


def provenances(store: Store, selection: Selection | None = None) -> dict[str, dict[str, Any]]:
    """Under what circumstances each selected run came about, as its latest process recorded them.

    Raises:
        UsageError: the selection's own expression is wrong.
    """
    condition, values = chosen(store, selection or Selection())
    found = store.rows(_PROVENANCES.format(condition=condition), values)
    return {run_id: json.loads(provenance) for run_id, provenance in found}


def known(store: Store, column: str) -> list[str]:
    """The values that occur in a column of the `run` view, as texts."""
    if column not in _KNOWN:
        raise ValueError(f"column {column!r} is not one people select by")
    found = store.rows(f"SELECT DISTINCT {column}::VARCHAR FROM run WHERE {column} IS NOT NULL ORDER BY 1")
    return [value for (value,) in found]


def marks(store: Store, field: str) -> dict[tuple[str, str], str]:
    """The marks whose name begins so, by run id and name."""
    return {(run_id, name): value for run_id, name, value in store.rows(_MARKS, {"field": field})}


def _resolve(text: str, ids: list[str], names: dict[str, str], tags: dict[str, list[str]]) -> list[str]:
    if match := re.fullmatch(r"@last(?:-(\d{1,9}))?", text):
        back = int(match[1] or 0)
        if back >= len(tags):
            raise UsageError(f"{text} reaches back beyond the first of {len(tags)} runs")
        return [list(tags)[back]]
    if text.startswith("tag:"):
        tagged = [run_id for run_id, words in tags.items() if text.removeprefix("tag:") in words]
        if not tagged:
            raise NothingFound(f"no run has {text}")
        return tagged
    if text in ids:
        return [text]
    if text in names:
        return [names[text]]
    fitting = [run_id for run_id in ids if text and run_id.startswith(text)]
    if len(fitting) == 1:
        return fitting
    if fitting:
        raise UsageError(f"run {text!r} fits {len(fitting)} runs: {', '.join(fitting[:5])}; write more of the id")
    near = difflib.get_close_matches(text, [*names, *ids], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "see `lossbench ls`"
    raise UsageError(f"no run has the id or name {text!r}; {hint}")
