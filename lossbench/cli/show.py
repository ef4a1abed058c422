"""`lossbench show`: everything about one run."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, reading, show

if TYPE_CHECKING:
    from lossbench.render import Table
    from lossbench.store.queries import RunDetail


@app.command("show")
def show_run(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run id or the beginning of one, a name, or @last.")
    ] = "@last",
    config: Annotated[bool, typer.Option("--config", help="Only what was asked: the resolved spec.")] = False,
    env: Annotated[bool, typer.Option("--env", help="Only where it ran: code, libraries, machine, command.")] = False,
    metrics: Annotated[bool, typer.Option("--metrics", help="Only the metrics of the last epoch.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Only what happened when.")] = False,
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """Show one run: what was asked, what came out, where and when. The options --config, --env, --metrics and --log
    pick parts.

    \b
    Examples:
      lossbench show
      lossbench show 7k2m --metrics
      lossbench show @last --config --format json
    """
    from lossbench.store import queries

    with reading(home) as store:
        detail = queries.run(store, run)
    chosen = {"config": config, "metrics": metrics, "env": env, "log": log}
    wanted = [part for part, picked in chosen.items() if picked] or list(chosen)
    show(_table(detail, wanted, exact=format in ("json", "jsonl", "csv")), format)


def _table(detail: "RunDetail", parts: list[str], *, exact: bool) -> "Table":
    from lossbench.render import Column, Table

    makers: dict[str, Callable[[], Iterable[tuple[str, Any]]]] = {
        "config": lambda: _flat(detail.spec),
        "metrics": lambda: ((f"{split}/{name}", value) for split, name, _, value in detail.metrics),
        "env": lambda: _flat(detail.provenance),
        "log": lambda: ((f"{time.isoformat()}Z", f"{kind} {text}".strip()) for time, kind, text in detail.events),
    }
    rows = tuple((part, name, value if exact else _text(value)) for part in parts for name, value in makers[part]())
    row = detail.row
    columns = (
        Column(key="part", title="part"),
        Column(key="name", title="name", anchor=True),
        Column(key="value", title="value"),
    )
    title = (
        f"{row.run_id}: {row.preset}, {row.loss}, seed {row.seed}, {row.status} at epoch {row.epoch} of {row.epochs}"
    )
    return Table(name="run", columns=columns, rows=rows, title=title)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, [], ""):
            yield prefix + name, value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
