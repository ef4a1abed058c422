"""`lossbench ls`: the runs of this project."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lossbench.cli.app import HomeOption, LossFilter, PresetFilter, TagFilter, WhereOption, app, reading, show
from lossbench.cli.selecting import RunOption, mistaken, pick
from lossbench.cli.terminal import emit, note
from lossbench.errors import unknown

if TYPE_CHECKING:
    from lossbench.render import Column, Tone
    from lossbench.store.queries import RunRow

TABLE_ROWS = 1000
"""More runs than that a table shows only when asked to."""

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
    tags: TagFilter = None,
    runs: RunOption = None,
    where: WhereOption = None,
    removed: Annotated[bool, typer.Option("--removed", help="The removed runs instead of the others.")] = False,
    sort: Annotated[
        str, typer.Option("--sort", metavar="FIELD", help="Order by this field; -FIELD turns it round.")
    ] = "started_at",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=1,
            metavar="N",
            help="Only the last N of them. [default: 1000 in a table, else all]",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    format: Annotated[
        Literal["table", "json", "jsonl", "csv", "md", "latex", "ids"],
        typer.Option("--format", "-f", help="How to print the result; ids are for the stdin of other commands."),
    ] = "table",
) -> None:
    """List runs, the latest last.

    \b
    Examples:
      lossbench ls
      lossbench ls 'cifar100-*' --loss adaptive --status done --sort -seconds
      lossbench ls --where "seed < 3 and seconds > 60" --format csv
      lossbench ls --status failed --format ids | lossbench rm -
    """
    from lossbench.render import Table
    from lossbench.store import Selection, queries
    from lossbench.store.missing import strange
    from lossbench.store.selection import STATUSES

    for status in statuses or ():
        if status not in STATUSES:
            raise unknown("status", status, STATUSES)
    with reading(home) as store:
        selection = Selection(
            presets=tuple(presets or ()),
            losses=tuple(losses or ()),
            statuses=tuple(statuses or ()),
            tags=tuple(tags or ()),
            runs=tuple(pick(store, runs, removed=removed)) if runs else (),
            where=where,
            removed=removed,
        )
        most = limit or (TABLE_ROWS if format == "table" else None)
        # The younger a run's last word, the smaller its age.
        field = {"age": "-last_at", "-age": "last_at"}.get(sort, sort)
        shown, count = queries.listed(store, selection, by=field, limit=most)
        hint = "" if shown else mistaken(store, selection) or strange(store, selection)
    if not shown and selection == Selection():
        note("no runs; `lossbench run PRESET` makes one")
    elif not shown:
        note(f"no such runs: {hint}" if hint else "no such runs")
    if limit is None and len(shown) < count:
        note(f"the last {len(shown):,} of {count:,} runs; --limit N shows more, and every other --format all")
    if format == "ids":
        emit("".join(f"{run.run_id}\n" for run in shown))
        return
    columns, now = _columns(shown), datetime.now(UTC).replace(tzinfo=None)
    rows = tuple(tuple(_cell(run, column.key, now) for column in columns) for run in shown)
    show(Table(name="runs", columns=columns, rows=rows), format)


def _columns(runs: "Sequence[RunRow]") -> "tuple[Column, ...]":
    from lossbench.render import Column

    def unused(key: str) -> bool:
        return not any(getattr(run, key) for run in runs)

    return (
        Column(key="run_id", title="run", anchor=True),
        Column(key="name", title="name", hidden=unused("name")),
        Column(key="preset", title="preset"),
        Column(key="loss", title="loss"),
        Column(key="seed", title="seed", kind="integer"),
        Column(key="status", title="status", tones=STATUS_TONES),
        Column(key="epoch", title="epoch", kind="integer"),
        Column(key="epochs", title="of", kind="integer"),
        Column(key="seconds", title="time", kind="duration"),
        Column(key="started_at", title="started", kind="time"),
        Column(key="age", title="age", kind="duration"),
        Column(key="last_at", title="last heard of", kind="time", hidden=True),
        Column(key="host", title="host", hidden=True),
        Column(key="device", title="device", hidden=True),
        Column(key="recipe", title="recipe", hidden=True),
        Column(key="tags", title="tags", hidden=unused("tags")),
        Column(key="note", title="note", hidden=unused("note")),
        Column(key="reason", title="reason", hidden=unused("reason")),
    )


def _cell(run: "RunRow", key: str, now: datetime) -> object:
    if key == "age":
        return (now - run.last_at).total_seconds()
    value = getattr(run, key)
    return " ".join(value) if key == "tags" else value
