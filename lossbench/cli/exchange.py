"""`lossbench export` and `import`: runs on their way to other programs and from other machines."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lossbench.cli.app import HomeOption, WhereOption, app, reading
from lossbench.cli.selecting import RunsArgument, pick
from lossbench.cli.terminal import emit, note
from lossbench.errors import NothingFound
from lossbench.home import find_home


@app.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder.")],
    runs: RunsArgument = None,
    form: Annotated[
        Literal["parquet", "csv", "jsonl", "tensorboard"], typer.Option("--format", "-f", help="What to write.")
    ] = "parquet",
    where: WhereOption = None,
    home: HomeOption = None,
) -> None:
    """Write runs, metrics and predictions for other programs.

    All runs are written unless some are named.

    \b
    Examples:
      lossbench export --out runs
      lossbench export @last --format tensorboard --out logs
      lossbench export --where "preset = 'digits-mlp'" --format csv --out digits
    """
    from lossbench.store import Selection, queries
    from lossbench.store.export import export

    with reading(home) as store:
        chosen = Selection(runs=tuple(pick(store, runs, where))) if runs or where is not None else Selection()
        rows = queries.runs(store, chosen)
    if not rows:
        raise NothingFound("there are no runs to export")
    for path in export(find_home(home), rows, out, form):
        emit(str(path))


@app.command("import")
def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="STORE", help="Other .lossbench folders, or store files, one after the other."),
    ],
    home: HomeOption = None,
) -> None:
    """Add the runs of other stores to this one. What is here already is not added again.

    \b
    Examples:
      lossbench import /mnt/box2/project/.lossbench
      lossbench import runs-of-may.duckdb
      lossbench import /mnt/node*/project/.lossbench
    """
    from lossbench.store.merge import import_store

    for source in sources:
        merged = import_store(find_home(home), source)
        for text in merged.notes:
            note(text)
        whose = f"{source}: " if len(sources) > 1 else ""
        note(f"{whose}{merged.added} events added, {merged.known} were here already")
