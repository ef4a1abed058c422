"""Everything about a comparison on one self-contained page: verdicts, tables, figures, provenance, commands."""

import base64
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import repeat

from lossbench import charts, plots
from lossbench.charts import Figure, Panel
from lossbench.compare import Comparison
from lossbench.errors import NotComparable, NothingFound
from lossbench.plots import Request
from lossbench.plots.comparing import compared
from lossbench.plots.runs import select
from lossbench.render import Column, Table
from lossbench.render.comparison import comparison_document
from lossbench.render.html import STYLE, html_sections, html_table
from lossbench.store import Selection, Store, queries
from lossbench.store.queries import RunRow

__all__ = ["Report", "html_report"]

_FIGURES = ("forest", "diff", "curves", "strip", "cd", "calibration", "throughput")
_ENVIRONMENT = ("lossbench", "git_commit", "git_dirty", "python", "torch", "device", "device_name", "threads", "host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The page, and the comparison on it; None where these runs allow none."""

    html: str
    """Refers to nothing outside itself."""
    comparison: Comparison | None


def html_report(store: Store, request: Request, *, at: datetime) -> Report:
    """Compare the runs of a request, and draw them.

    Raises:
        NothingFound: no run matches.
        UsageError: no matplotlib, or a metric that is not stored.
    """
    rows = queries.runs(store, Selection(runs=tuple(row.run_id for row in select(store, request))))
    presets = sorted({row.preset for row in rows})
    title = f"lossbench report: {', '.join(presets)}"
    comparison, verdicts = _comparison(store, request)
    body = [
        f"<h1>{escape(title)}</h1>\n",
        f'<p class="dim">{len(rows)} runs of {len(presets)} presets; written {at:%Y-%m-%d %H:%M} UTC</p>\n',
        *verdicts,
        "<section>\n<h2>Figures</h2>\n",
        *_figures(store, request),
        "</section>\n<section>\n<h2>Runs</h2>\n",
        html_table(_runs_table(rows)),
        "</section>\n<section>\n<h2>Provenance</h2>\n",
        *_provenance(store, rows),
        "</section>\n",
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )
    return Report(html=head + "".join(body) + "</body>\n</html>\n", comparison=comparison)


def _comparison(store: Store, request: Request) -> tuple[Comparison | None, list[str]]:
    try:
        found = compared(store, request)
    except (NothingFound, NotComparable) as error:
        return None, [f'<p class="warn">No verdict: {escape(str(error))}</p>\n']
    return found, [*html_sections(comparison_document(found))]


def _figures(store: Store, request: Request) -> Iterator[str]:
    for kind in _FIGURES:
        # A figure that this selection has no numbers for is left out; that is no fault of the page.
        try:
            figure = plots.figure(kind, store, request)
        except (NothingFound, NotComparable):
            continue
        caption = "; ".join(filter(None, (figure.caption, f"lossbench plot {kind}")))
        yield f'<figure>\n<h3>{escape(figure.title)}</h3>\n<div class="panels">\n'
        yield from map(_image, figure.panels, repeat(figure.series))
        yield f"</div>\n<figcaption>{escape(caption)}</figcaption>\n</figure>\n"


def _image(panel: Panel, series: Sequence[str]) -> str:
    """One panel with its legend, so that a narrow page has them one beneath another."""
    drawn = {getattr(mark, "series", None) for mark in panel.marks}
    own = tuple(name if index in drawn else "" for index, name in enumerate(series))
    data = base64.b64encode(charts.svg(Figure(title="", panels=(panel,), series=own)).encode()).decode()
    return f'<img alt="{escape(panel.title or panel.y.label)}" src="data:image/svg+xml;base64,{data}">\n'


def _runs_table(rows: list[RunRow]) -> Table:
    columns = (
        Column(key="run_id", title="run"),
        Column(key="preset", title="preset"),
        Column(key="loss", title="loss"),
        Column(key="seed", title="seed", kind="integer"),
        Column(key="status", title="status", tones={"done": "good", "diverged": "bad", "failed": "bad", "lost": "bad"}),
        Column(key="epoch", title="epoch", kind="integer"),
        Column(key="epochs", title="of", kind="integer"),
        Column(key="seconds", title="time", kind="duration"),
        Column(key="started_at", title="started (UTC)", kind="time"),
        Column(key="reason", title="reason"),
    )
    ordered = sorted(rows, key=lambda row: (row.preset, row.loss, row.seed))
    return Table(
        name="runs",
        columns=columns,
        rows=tuple(tuple(getattr(row, column.key) for column in columns) for row in ordered),
    )


def _provenance(store: Store, rows: list[RunRow]) -> Iterator[str]:
    """Every distinct environment and command with the number of runs it holds for, and the recipes in full."""
    found = queries.provenances(store, Selection(runs=tuple(row.run_id for row in rows)))
    environments = Counter(tuple(str(each.get(name, "")) for name in _ENVIRONMENT) for each in found.values())
    columns = tuple(Column(key=name, title=name.replace("_", " ")) for name in _ENVIRONMENT)
    counted = (*columns, Column(key="runs", title="runs", kind="integer"))
    lines = tuple((*environment, count) for environment, count in environments.items())
    yield html_table(Table(name="environments", columns=counted, rows=lines))
    commands = Counter(shlex.join(each.get("command", ())) for each in found.values())
    yield "<h2>Commands</h2>\n<pre>" + "".join(f"{escape(each)}\n" for each in commands if each) + "</pre>\n"
