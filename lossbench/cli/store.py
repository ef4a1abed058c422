"""`lossbench store`: looking after the file all runs are in."""

from pathlib import Path
from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, show
from lossbench.cli.terminal import emit, note
from lossbench.errors import ExitCode
from lossbench.home import find_home

store_app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Look after the store of this project.

    \b
    Examples:
      lossbench store info
      lossbench store check
      lossbench store backup ~/runs.duckdb
    """,
)
app.add_typer(store_app, name="store")


@store_app.command("info")
def info(home: HomeOption = None, format: FormatOption = "table") -> None:
    """Say what the store holds and how large it is.

    \b
    Examples:
      lossbench store info
      lossbench store info --format json
    """
    from lossbench.render import Column, Table
    from lossbench.store import upkeep

    columns = (Column(key="what", title="what", anchor=True), Column(key="value", title="value"))
    show(Table(name="store", columns=columns, rows=tuple(upkeep.info(find_home(home)).items())), format)


@store_app.command("check")
def check(home: HomeOption = None, format: FormatOption = "table") -> None:
    """Look for anything wrong in the store and the journals; exit 6 if there is.

    \b
    Examples:
      lossbench store check
      lossbench store check --home ~/runs/.lossbench
    """
    from lossbench.render import Column, Table
    from lossbench.store import upkeep

    findings = upkeep.check(find_home(home))
    columns = (
        Column(key="what", title="what", anchor=True),
        Column(key="holds", title="holds", kind="boolean"),
        Column(key="wrong", title="exceptions", kind="integer"),
        Column(key="detail", title="detail"),
    )
    rows = tuple((each.what, not each.wrong, each.wrong, each.detail) for each in findings)
    show(Table(name="check", columns=columns, rows=rows), format)
    if any(each.wrong for each in findings):
        raise typer.Exit(ExitCode.DAMAGED)


@store_app.command("rebuild")
def rebuild(home: HomeOption = None) -> None:
    """Write the store anew from its events and the journals; the earlier file is kept beside it.

    \b
    Examples:
      lossbench store rebuild
    """
    from lossbench.store.rebuild import rebuild

    for text in rebuild(find_home(home)):
        note(text)


@store_app.command("vacuum")
def vacuum(home: HomeOption = None) -> None:
    """Make the store small and drop the journals it holds whole; those of living processes stay.

    \b
    Examples:
      lossbench store vacuum
    """
    from lossbench.store import upkeep

    before, after = upkeep.vacuum(find_home(home))
    note(f"{before / 2**20:,.1f} MiB before, {after / 2**20:,.1f} MiB after")


@store_app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")], home: HomeOption = None
) -> None:
    """Copy the whole store into one new file, which `lossbench import` and any DuckDB client can read.

    \b
    Examples:
      lossbench store backup runs-of-may.duckdb
    """
    from lossbench.store import upkeep

    upkeep.backup(find_home(home), target)
    emit(str(target))
