"""`lossbench show`: everything about one run."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, reading, show
from lossbench.cli.facts import text
from lossbench.cli.selecting import named
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.render import Table
    from lossbench.store.queries import RunDetail


@app.command("show")
def show_run(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="An id or its beginning, a name, @last, tag:WORD, or - for an id on stdin."),
    ] = "@last",
    config: Annotated[bool, typer.Option("--config", help="Only what was asked: the resolved spec.")] = False,
    metrics: Annotated[bool, typer.Option("--metrics", help="Only the metrics of the last epoch.")] = False,
    env: Annotated[bool, typer.Option("--env", help="Only where it ran: code, libraries, machine, command.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Only what happened when.")] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Only the fields in which it departs from its preset as it is now.")
    ] = False,
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """Show one run: what was asked, what came out, where and when.

    The options --config, --metrics, --env, --log and --diff pick parts.

    \b
    Examples:
      lossbench show
      lossbench show 7k2m --metrics
      lossbench show @last --config --format json
    """
    from lossbench.store import queries

    words = named([run])
    if len(words) != 1:
        raise UsageError(f"show takes one run, and stdin names {len(words) or 'none'}")
    with reading(home) as store:
        detail = queries.run(store, words[0])
    picked = {"config": config, "metrics": metrics, "env": env, "log": log}
    parts = [part for part in queries.PARTS if picked[part]] or ([] if diff else list(queries.PARTS))
    found: list[tuple[str, str, Any]] = [
        (part, name, value) for part in parts for name, value in queries.facts(detail, part)
    ]
    if diff:
        found += [("diff", name, value) for name, value in _departures(detail)]
    show(_table(detail, found, exact=format != "table"), format)


def _departures(detail: "RunDetail") -> list[tuple[str, str]]:
    """The fields that differ from the preset of that name, and both values."""
    from lossbench import presets
    from lossbench.spec import plain
    from lossbench.store import queries

    try:
        today = dict(queries.flat(plain(presets.load(detail.row.preset))))
    except UsageError as error:
        raise UsageError(f"run {detail.row.run_id}: its preset cannot be read here: {error}") from error
    then = dict(queries.flat(detail.spec["preset"]))
    return [
        (name, f"{text(then.get(name))} instead of {text(today.get(name))}")
        for name in dict.fromkeys([*today, *then])
        if then.get(name) != today.get(name)
    ]


def _table(detail: "RunDetail", found: list[tuple[str, str, Any]], *, exact: bool) -> "Table":
    from lossbench.render import Column, Table

    row = detail.row
    columns = (
        Column(key="part", title="part"),
        Column(key="name", title="name", anchor=True),
        Column(key="value", title="value"),
    )
    title = (
        f"{row.run_id}: {row.preset}, {row.loss}, seed {row.seed}, {row.status} at epoch {row.epoch} of {row.epochs}"
        + (f", called {row.name}" if row.name else "")
        + (f", tagged {' '.join(row.tags)}" if row.tags else "")
        + (", removed" if row.removed else "")
        + (f": {row.note}" if row.note else "")
    )
    rows = tuple((part, name, value if exact else text(value)) for part, name, value in found)
    return Table(name="run", columns=columns, rows=rows, title=title)
