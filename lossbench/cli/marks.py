"""`lossbench set`, `rm` and `restore`: what people say of runs."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossbench.cli.app import HomeOption, WhereOption, app, reading
from lossbench.cli.selecting import RunsArgument, pick
from lossbench.cli.terminal import note
from lossbench.errors import LossbenchError, UsageError
from lossbench.home import find_home

if TYPE_CHECKING:
    from lossbench.store import Store


@app.command("set")
def set_marks(
    runs: RunsArgument = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Call the run so; '' takes the name away.")
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="WORD", help="Add a tag; repeatable.")
    ] = None,
    untags: Annotated[
        list[str] | None, typer.Option("--untag", metavar="WORD", help="Take a tag away; repeatable.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Note this; '' takes the note away.")
    ] = None,
    where: WhereOption = None,
    home: HomeOption = None,
) -> None:
    """Give runs a name, tags or a note.

    \b
    Examples:
      lossbench set @last --name baseline --note "the one for the paper"
      lossbench set --where "preset = 'digits-mlp' and seed < 5" --tag pilot
      lossbench ls --status failed --format ids | lossbench set - --tag broken
    """
    from lossbench.store.marks import mark

    marks: dict[str, str | bool] = {f"tag:{word}": False for word in untags or ()}
    marks |= {f"tag:{word}": True for word in tags or ()}
    if name is not None:
        marks["name"] = name
    if text is not None:
        marks["note"] = text
    if not marks:
        raise UsageError("say what to set: --name, --tag, --untag or --note")
    for word in [*(tags or ()), *(untags or ())]:
        if not re.fullmatch(r"[^\s:]{1,100}", word):
            raise UsageError(f"tag {word!r}: a tag is one word of at most 100 characters without a colon")
    with reading(home) as store:
        ids = pick(store, runs, where)
        if name:
            _check_name(store, name, ids)
    mark(find_home(home), ids, marks)
    note(f"{_count(ids)} marked")


@app.command("rm")
def remove(
    runs: RunsArgument = None,
    where: WhereOption = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete for good: records, journals and checkpoints.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --purge.")] = False,
    home: HomeOption = None,
) -> None:
    """Remove runs from every list and comparison. They stay in the store and can be restored, unless purged.

    \b
    Examples:
      lossbench rm 7k2m
      lossbench rm --where "status = 'failed'"
      lossbench rm tag:broken --purge --yes
    """
    from lossbench.store.marks import mark

    with reading(home) as store:
        ids = pick(store, runs, where)
    if not purge:
        mark(find_home(home), ids, {"removed": True})
        note(f"{_count(ids)} removed; `lossbench restore` brings back")
        return
    _confirm(ids, yes)
    _purge(home, ids)


@app.command("restore")
def restore(runs: RunsArgument = None, where: WhereOption = None, home: HomeOption = None) -> None:
    """Bring removed runs back.

    \b
    Examples:
      lossbench restore 7k2m
      lossbench ls --removed --format ids | lossbench restore -
    """
    from lossbench.store.marks import mark

    with reading(home) as store:
        ids = pick(store, runs, where, removed=True)
    mark(find_home(home), ids, {"removed": False})
    note(f"{_count(ids)} restored")


def _confirm(ids: list[str], yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"--purge deletes {_count(ids)} for good; say --yes as well where nobody can be asked")
    if not typer.confirm(f"Delete {_count(ids)} for good?", err=True):
        raise LossbenchError("nothing is deleted")


def _purge(home: Path | None, ids: list[str]) -> None:
    from lossbench.store.purge import purge

    purge(find_home(home), ids)
    note(f"{_count(ids)} deleted")


def _check_name(store: "Store", name: str, ids: list[str]) -> None:
    from lossbench.store import queries

    if len(ids) > 1:
        raise UsageError(f"--name {name!r} is for one run, not {len(ids)}; a tag can be shared")
    if not re.fullmatch(r"[A-Za-z0-9_][^\s:]{0,63}", name):
        raise UsageError(f"name {name!r}: at most 64 characters without blanks and colons, the first a letter or digit")
    if (has := queries.named(store, name)) and [has] != ids:
        raise UsageError(f"run {has} is called {name!r}; `lossbench set {has} --name ''` takes the name away from it")


def _count(ids: list[str]) -> str:
    return f"{len(ids)} run{'' if len(ids) == 1 else 's'}"
