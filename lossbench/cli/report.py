"""`lossbench report`: one page with everything about a comparison."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lossbench.cli.app import HomeOption, LossFilter, PresetFilter, TagFilter, WhereOption, app, reading
from lossbench.cli.terminal import note
from lossbench.errors import UsageError


@app.command("report")
def report(
    presets: PresetFilter = None,
    losses: LossFilter = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="METRIC",
            help="A stored metric, as NAME or SPLIT/NAME. [default: what each preset is judged by]",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="RULE", help="last, mean:A-B or best-val. [default: the preset's]", show_default=False
        ),
    ] = None,
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="LOSS", help="The loss others are held against.")
    ] = "ce",
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")] = Path("report.html"),
    tags: TagFilter = None,
    where: WhereOption = None,
    home: HomeOption = None,
) -> None:
    """Write verdicts, tables, figures, provenance and commands to one HTML file that needs no network.

    \b
    Examples:
      lossbench report digits-mlp
      lossbench report 'uci-*' --loss adaptive --out adaptive.html
    """
    from lossbench.plots import Request
    from lossbench.report import html_report
    from lossbench.store import Selection

    selection = Selection(presets=tuple(presets or ()), losses=tuple(losses or ()), tags=tuple(tags or ()), where=where)
    request = Request(selection=selection, baseline=baseline, metrics=(metric,) if metric else (), at=at)
    with reading(home) as store:
        page = html_report(store, request, at=datetime.now(UTC))
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
    note(f"wrote {out}")
