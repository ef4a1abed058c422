"""`lossbench report`: one page with everything about a comparison."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lossbench.cli.app import app, reading
from lossbench.cli.asking import AllowOption, Chosen, Judged, TunedOption
from lossbench.cli.looking import remember
from lossbench.cli.sets import takes_sets
from lossbench.cli.spelling import spelled
from lossbench.cli.terminal import note
from lossbench.errors import UsageError


@app.command("report")
@takes_sets
def report(
    chosen: Chosen,
    judged: Judged,
    tuned: TunedOption = None,
    allow: AllowOption = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")] = Path("report.html"),
) -> None:
    """Write verdicts, tables and figures to one HTML page.

    With provenance and commands; the page needs no network.

    \b
    Examples:
      lossbench report digits-mlp
      lossbench report wine-linear --tuned optimizer.lr
      lossbench report 'uci-*' --loss adaptive --out adaptive.html
    """
    from lossbench.compare.suite import asked
    from lossbench.plots import Request
    from lossbench.report import html_report

    with reading(chosen.home) as store:
        baseline, *losses = spelled(store, [judged.baseline, *(chosen.losses or ())])
        wanted = asked(store, chosen.presets or (), losses, tuned or ())
        request = Request(
            selection=chosen.selection(presets=wanted.presets, losses=wanted.losses),
            baseline=baseline,
            metrics=(judged.metric,) if judged.metric else (),
            at=judged.at,
            tuned=wanted.tuned,
            allow=tuple(allow or ()),
        )
        made = html_report(store, request, at=datetime.now(UTC))
    try:
        out.write_text(made.html, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
    if made.comparison is not None:
        remember(chosen.home, made.comparison)
    note(f"wrote {out}")
