"""Run selectors, the same in every command that is about particular runs."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lossbench.errors import LossbenchError, NothingFound, UsageError

if TYPE_CHECKING:
    from lossbench.store import Selection, Store

__all__ = ["RunOption", "RunsArgument", "mistaken", "named", "pick"]

_FORMS = "an id or its beginning, a name, @last, @last-1, tag:WORD, or - for ids on stdin"

RunsArgument = Annotated[list[str] | None, typer.Argument(metavar="RUN", help=f"Runs: {_FORMS}.", show_default=False)]
RunOption = Annotated[
    list[str] | None,
    typer.Option("--run", "-r", metavar="RUN", help=f"Only these runs: {_FORMS}; repeatable.", show_default=False),
]


def named(selectors: list[str]) -> list[str]:
    """Selectors with the words on stdin in the place of `-`."""
    return [word for text in selectors for word in (sys.stdin.read().split() if text == "-" else (text,))]


def pick(store: "Store", selectors: list[str] | None, where: str | None = None, *, removed: bool = False) -> list[str]:
    """The ids of the runs that selectors and `--where` both hold for, in the order they were named or began.

    Raises:
        UsageError: neither is given, or a selector fits no run or several.
        NothingFound: no run is left.
    """
    from lossbench.store import Selection, queries

    texts = named(selectors or [])
    if not texts and where is None:
        if selectors:
            raise NothingFound("stdin names no runs")
        raise UsageError(f"name the runs ({_FORMS}) or select them with --where")
    ids = queries.resolve(store, texts, removed=removed)
    if where is None:
        return ids
    rows = queries.runs(store, Selection(runs=tuple(ids), where=where, removed=removed))
    if not rows:
        raise NothingFound(f"no {'removed ' if removed else ''}run has {where}")
    return [row.run_id for row in rows]


def mistaken(store: "Store", selection: "Selection") -> str:
    """What to say to somebody who has named runs as presets; empty where nobody has."""
    from lossbench.store import queries

    for each in selection.presets:
        try:
            names_runs = bool(queries.resolve(store, [each], removed=selection.removed))
        except LossbenchError:
            names_runs = each.startswith(("@", "tag:"))
        if names_runs:
            return f"{each!r} names runs, not a preset; say --run {each}"
    return ""
