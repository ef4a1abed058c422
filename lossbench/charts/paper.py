"""A figure as a file for a paper, through matplotlib: the same values, series signs and order as on the screen."""

import io
import textwrap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lossbench.charts.figure import Axis, Bars, Box, Cells, Figure, Line, Mark, Panel, Points, Rule, Span
from lossbench.charts.scale import limits, ticks
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

__all__ = ["draw"]

_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*")
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B22222", "#56B4E9", "#8C8C00", "#6A4C93", "#7F7F7F", "#8C564B")
_GRAY = "0.6"
_ACROSS = 3
_BAR_SHADE = 0.5
_LEGEND_ROW = 0.17
"""Inches."""
_TICK_LETTERS, _LEGEND_LETTERS = 40, 72
_TITLE_LETTERS, _CAPTION_LETTERS = 13, 17
"""Per inch."""
_UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "text.parse_math": False,
    "svg.hashsalt": "lossbench",
    "pdf.fonttype": 42,
}


def draw(figure: Figure, kind: Literal["svg", "pdf", "png"]) -> bytes:
    """The content of such a file; the same figure gives the same bytes.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure as Sheet
    except ImportError as error:
        raise UsageError(f"drawing {kind} needs matplotlib: pip install 'lossbench[figures]'") from error
    with matplotlib.rc_context(_STYLE):
        most = 2 if len(figure.panels) == 4 else min(len(figure.panels), _ACROSS)
        across = most - most % figure.together or most
        down = -(-len(figure.panels) // across)
        names = max(sum(len(_folded(name)) for name in panel.y.names) for panel in figure.panels)
        heights = [_LEGEND_ROW * _legend_rows(figure), *[max(2.6, 0.9 + 0.22 * names)] * down]
        wide = max(6.0 if names else 5.0, 3.4 * across)
        sheet = Sheet(figsize=(wide, sum(heights) + 0.6), layout="constrained")
        grid = sheet.add_gridspec(down + 1, across, height_ratios=heights)
        for position, panel in enumerate(figure.panels):
            _panel(panel, sheet.add_subplot(grid[1 + position // across, position % across]))
        _legend(figure, sheet.add_subplot(grid[0, :]))
        sheet.suptitle(textwrap.fill(figure.title, round(wide * _TITLE_LETTERS)), fontsize=9)
        if figure.caption:
            sheet.supxlabel(textwrap.fill(figure.caption, round(wide * _CAPTION_LETTERS)), fontsize=7, color="0.35")
        _settle(sheet)
        content = io.BytesIO()
        sheet.savefig(content, format=kind, dpi=200, metadata=_UNDATED[kind])
        return content.getvalue()


def _settle(sheet: "Sheet") -> None:
    """Lay the sheet out once and round the places: the solver's last digits differ from call to call."""
    sheet.draw_without_rendering()
    sheet.set_layout_engine("none")
    for axes in sheet.axes:
        axes.set_position(tuple(round(each, 6) for each in axes.get_position().bounds))


def _panel(panel: Panel, axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator, NullFormatter

    axes.set_title(panel.title, fontsize=8)
    # Enough for a sign, and too little for a tick at epoch 0.
    axes.margins(x=0.02)
    for which, axis, own, scale, label in (
        ("x", panel.x, axes.xaxis, axes.set_xscale, axes.set_xlabel),
        ("y", panel.y, axes.yaxis, axes.set_yscale, axes.set_ylabel),
    ):
        label(axis.label)
        if axis.log:
            scale("log")
            marks = ticks(axis, *limits(panel, which), most=6)
            own.set_ticks([10.0**place for place, _ in marks], [text for _, text in marks])
            own.set_minor_formatter(NullFormatter())
        elif axis.whole:
            own.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if panel.x.limits:
        axes.set_xlim(panel.x.limits)
    if panel.y.limits:
        axes.set_ylim(panel.y.limits)
    for mark in panel.marks:
        _draw(mark, panel, axes)
    if panel.y.names and not any(isinstance(mark, Cells) for mark in panel.marks):
        axes.set_yticks(range(len(panel.y.names)), ["\n".join(_folded(name)) for name in panel.y.names])
        axes.set_ylim(len(panel.y.names) - 0.5, -0.5)
        for place in panel.y.headings:
            axes.get_yticklabels()[place].set_fontweight("bold")
        axes.grid(False, axis="y")


def _draw(mark: Mark, panel: Panel, axes: "Axes") -> None:
    match mark:
        case Line(series=None):
            axes.plot(mark.x, mark.y, color=_GRAY, linewidth=0.6, zorder=1)
        case Line(series=int(series)):
            look: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.6} if mark.thin else _signs(series, len(mark.x))
            axes.plot(mark.x, mark.y, color=_color(series), **look)
            if mark.low is not None and mark.high is not None:
                axes.fill_between(mark.x, mark.low, mark.high, color=_color(series), alpha=0.15, linewidth=0)
        case Points():
            if mark.low is not None and mark.high is not None:
                lines = axes.hlines if mark.along == "x" else axes.vlines
                lines(
                    mark.y if mark.along == "x" else mark.x, mark.low, mark.high, color=_color(mark.series), linewidth=1
                )
            axes.plot(
                mark.x, mark.y, _marker(mark.series), color=_color(mark.series), markersize=4, alpha=0.85, clip_on=False
            )
        case Box():
            five = {
                "whislo": mark.low,
                "q1": mark.quarter,
                "med": mark.median,
                "q3": mark.three_quarters,
                "whishi": mark.high,
            }
            line = {"color": _color(mark.series)}
            axes.bxp(
                [five], positions=[mark.y], widths=0.5, orientation="horizontal", showfliers=False, manage_ticks=False,
                boxprops=line, whiskerprops=line, capprops=line, medianprops={**line, "linewidth": 2},
            )  # fmt: skip
        case Bars():
            edges = mark.edges
            axes.bar(
                edges[:-1], mark.heights, np.diff(edges), align="edge", color=_color(mark.series), alpha=_BAR_SHADE
            )
        case Span():
            axes.hlines([mark.y], mark.low, mark.high, color="0.2", linewidth=3)
        case Rule():
            line_across = axes.axvline if mark.axis == "x" else axes.axhline
            line_across(mark.at, color="0.35", linewidth=0.8, linestyle="--", zorder=1.5)
        case Cells():
            _heat(mark, panel.x, panel.y, axes)


def _heat(cells: Cells, x: Axis, y: Axis, axes: "Axes") -> None:
    axes.imshow(cells.values, cmap="viridis" if cells.higher_is_better else "viridis_r", aspect="auto")
    axes.set_xticks(range(len(x.names)), x.names)
    axes.set_yticks(range(len(y.names)), ["\n".join(_folded(name)) for name in y.names])
    axes.grid(False)
    for (i, j), value in np.ndenumerate(cells.values):
        text = "-" if np.isnan(value) else f"{value:.{cells.digits}f}"
        axes.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=7,
            bbox={"facecolor": "white", "alpha": 0.6, "pad": 1, "linewidth": 0},
        )


def _legend_columns(figure: Figure) -> int:
    return max(1, min(4, 90 // (min(_LEGEND_LETTERS, max(map(len, figure.series), default=0)) + 6)))


def _legend_rows(figure: Figure) -> float:
    # A row of height zero is no row to matplotlib.
    lines = sum(len(textwrap.wrap(name, _LEGEND_LETTERS)) for name in figure.series)
    return -(-lines // _legend_columns(figure)) or 0.05


def _folded(name: str) -> list[str]:
    return textwrap.wrap(name, _TICK_LETTERS) or [""]


def _legend(figure: Figure, axes: "Axes") -> None:
    """A row of its own: matplotlib draws figure legends over figure titles."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.set_axis_off()
    filled = {mark.series for panel in figure.panels for mark in panel.marks if isinstance(mark, Bars)}
    handles = [
        Patch(color=_color(index), alpha=_BAR_SHADE, linewidth=0, label=textwrap.fill(name, _LEGEND_LETTERS))
        if index in filled
        else Line2D(
            [], [], color=_color(index), marker=_marker(index), markersize=4, label=textwrap.fill(name, _LEGEND_LETTERS)
        )
        for index, name in enumerate(figure.series)
        if name
    ]
    if handles:
        axes.legend(handles=handles, loc="center", ncols=_legend_columns(figure), frameon=False, fontsize=7)


def _signs(series: int, count: int) -> dict[str, Any]:
    every = max(1, count // 8)
    # Curves that run over one another still show whose they are.
    return {"marker": _marker(series), "markersize": 3.5, "markevery": (series * -(-every // 3) % every, every)}


def _marker(series: int) -> str:
    return _MARKERS[series % len(_MARKERS)]


def _color(series: int) -> str:
    return _COLORS[series % len(_COLORS)]
