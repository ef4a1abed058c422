"""`lossbench ls`: the runs of this project."""

from typing import TYPE_CHECKING, Annotated

import typer

from lossbench.cli.app import FormatOption, HomeOption, LossFilter, PresetFilter, WhereOption, app, reading, show
from lossbench.cli.terminal import note

if TYPE_CHECKING:
    from lossbench.render import Tone

STATUS_TONES: dict[str, "Tone"] = {
    "done": "good",
    "running": "dim",
    "interrupted": "warn",
    "lost": "warn",
    "diverged": "bad",
    "failed": "bad",
}


@app.command("ls")
def ls(
    presets: PresetFilter = None,
    losses: LossFilter = None,
    statuses: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only runs that are running, done, diverged, failed, interrupted or lost; repeatable.",
            show_default=False,
        ),
    ] = None,
    where: WhereOption = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, metavar="N", help="Only the latest N runs.", show_default=False),
    ] = None,
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """List runs, the latest last.

    \b
    Examples:
      lossbench ls
      lossbench ls 'cifar100-*' --loss adaptive --status done
      lossbench ls --where "seed < 3 and seconds > 60" --format csv
    """
    from lossbench.render import Column, Table
    from lossbench.store import Selection, queries

    selection = Selection(
        presets=tuple(presets or ()), losses=tuple(losses or ()), statuses=tuple(statuses or ()), where=where
    )
    with reading(home) as store:
        runs = queries.runs(store, selection)
    if not runs:
        note("no runs; `lossbench run PRESET` makes one")
    columns = (
        Column(key="run_id", title="run", anchor=True),
        Column(key="preset", title="preset"),
        Column(key="loss", title="loss"),
        Column(key="seed", title="seed", kind="integer"),
        Column(key="status", title="status", tones=STATUS_TONES),
        Column(key="epoch", title="epoch", kind="integer"),
        Column(key="epochs", title="of", kind="integer"),
        Column(key="seconds", title="time", kind="duration"),
        Column(key="started_at", title="started", kind="time"),
        Column(key="host", title="host", hidden=True),
        Column(key="device", title="device", hidden=True),
        Column(key="recipe", title="recipe", hidden=True),
        Column(key="reason", title="reason"),
    )
    shown = runs[-limit:] if limit else runs
    rows = tuple(tuple(getattr(run, column.key) for column in columns) for run in shown)
    show(Table(name="runs", columns=columns, rows=rows), format)
