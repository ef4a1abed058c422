"""`lossbench import`: the runs of another store."""

from pathlib import Path
from typing import Annotated

import typer

from lossbench.cli.app import HomeOption, app
from lossbench.cli.terminal import note
from lossbench.home import find_home


@app.command("import")
def import_runs(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="Another .lossbench folder, or a copied store file.")],
    home: HomeOption = None,
) -> None:
    """Add the runs of another store to this one, each under the id it has. What is here already is not added twice.

    \b
    Examples:
      lossbench import /mnt/gpu-box/project/.lossbench
      lossbench import ~/runs.duckdb
    """
    from lossbench.store.merge import import_store

    merged = import_store(find_home(home), source.expanduser())
    for text in merged.notes:
        note(text)
    note(f"{merged.added} events added, {merged.known} were here already")
