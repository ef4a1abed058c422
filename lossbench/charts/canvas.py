"""One panel on plotext's canvas, with the geometry of its character cells.

plotext has a single figure for the whole process; every canvas takes it over and gives it up as text.
"""

import re
import textwrap

import numpy as np
import plotext

from lossbench.charts.figure import Array, Axis, Bars, Box, Line, Panel, Points, Rule, Span
from lossbench.charts.scale import limits, place, places, ticks

__all__ = ["Canvas", "color_of", "marker_of"]

_MARKERS = "●▲■◆○△□◇+×abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_COLORS = (33, 208, 35, 170, 160, 37, 142, 99, 245, 130)
"""Of the 256-colour palette, all legible on black and on white."""
_GRAY = 245
_DOTS_ACROSS = 2
"""Of a braille letter."""
_LEAST_ROWS = 4
_BLANK = "\N{NO-BREAK SPACE}"
"""plotext fails where a label is empty."""


def marker_of(series: int) -> str:
    """The sign by which a series is known where there is no colour."""
    return _MARKERS[series % len(_MARKERS)]


def color_of(series: int) -> int:
    """The number of a series' colour among the terminal's 256."""
    return _COLORS[series % len(_COLORS)]


class Canvas:
    """One panel on plotext's single figure, with the geometry of its character cells."""

    def __init__(self, panel: Panel, width: int, height: int) -> None:
        self.panel = panel
        self.x, self.y = limits(panel, "x"), limits(panel, "y")
        # plotext leaves a title out that is wider than the picture.
        title = textwrap.wrap(panel.x.label, width, break_on_hyphens=False)
        self.title = [" " * (width // 2 - (len(line) - 1) // 2) + line for line in title]
        self.rows = max(_LEAST_ROWS, height - len(self.title) - 2)
        if count := len(panel.y.names):
            # A category has a line of its own, with an empty one between neighbours where the screen is high enough.
            airy = count == 1 or self.rows >= 2 * count + 1
            self.rows = 2 * count + 1 if airy else count
            self.y = (-0.5, count - 0.5) if airy else (0.0, count - 1.0)
        self.y_ticks = _outlined(panel.y, ticks(panel.y, *self.y, most=max(2, self.rows // 3)))
        margin = max((len(label) for _, label in self.y_ticks), default=0) + 1
        self.columns = max(8, width - margin)
        self.x_ticks = self._spaced(ticks(panel.x, *self.x, most=max(2, self.columns // 9)))
        # Else the terminal that this process happens to have would cap the size.
        plotext.terminal.limit(False, False)
        figure = self.figure = plotext.figure
        figure.clear()
        figure.theme("simple")
        figure.plot_size(width, self.rows + 2)
        figure.legend(False)
        figure.axes(False, axis="x", side="upper")
        figure.axes(False, axis="y", side="right")
        flip = -1 if panel.y.names else 1
        for name, (low, high), marks in (("x", self.x, self.x_ticks), ("y", self.y, self.y_ticks)):
            ruler = figure.ruler(name)
            ruler.lim(low, high)
            ruler.ticks([spot for spot, _ in marks], [label if label.strip() else _BLANK for _, label in marks])
        figure.ruler("y").direction(flip)

    def lines(self, color: bool) -> list[str]:
        """The panel's marks drawn over one another: references first, single points and signs last."""
        for kind in (Rule, Bars, Span, Box, Line, Points):
            for mark in self.panel.marks:
                if isinstance(mark, kind):
                    self._draw(mark)
        signed = [mark for mark in self.panel.marks if isinstance(mark, Line) and not mark.thin]
        for order, mark in enumerate(signed):
            self._signs(mark, order, len(signed))
        text = self.figure.build().string(colorless=not color)
        return [*map(_tidy, text.splitlines()), *self.title]

    def _draw(self, mark: object) -> None:
        match mark:
            case Rule(axis="x", at=at):
                self._dots(np.full(self.rows, places(self.panel.x, at)), self._row_centres(), "┊", _GRAY)
            case Rule(at=at):
                self._dots(self._column_centres(), np.full(self.columns, places(self.panel.y, at)), "┄", _GRAY)
            case Bars():
                self._bars(mark)
            case Span():
                low, high = (place(self.panel.x, np.array([end])) for end in (mark.low, mark.high))
                self._strokes("x", np.array([mark.y]), low, high, "━", _GRAY)
            case Box():
                self._box(mark)
            case Line():
                self._line(mark)
            case Points():
                self._points(mark)

    def _line(self, mark: Line) -> None:
        shade = _GRAY if mark.series is None else color_of(mark.series)
        x, y = place(self.panel.x, mark.x), place(self.panel.y, mark.y)
        whole = np.isfinite(x) & np.isfinite(y)
        for run in np.flatnonzero(np.diff(np.concatenate([[False], whole, [False]]).astype(int))).reshape(-1, 2):
            part = self._thinned(x[slice(*run)], y[slice(*run)])
            signal = self.figure.signal(*part.tolist(), marker=plotext.marker("braille", shade))
            self.figure.draw(signal.lines())

    def _thinned(self, x: Array, y: Array) -> Array:
        """The points [2, m] of a curve that change its picture: first, lowest, highest and last of each column of dots.

        Whatever lies between them falls on dots that the lines through them set anyway, but for a few at corners.
        """
        columns = _DOTS_ACROSS * self.columns
        if len(x) <= 4 * columns or np.any(np.diff(x) < 0):
            return np.stack([x, y])
        # As plotext rounds: the ends of the axis lie in the middle of the first and the last character.
        column = np.floor((x - self.x[0]) / (self.x[1] - self.x[0]) * _DOTS_ACROSS * (self.columns - 1))
        starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
        ends = np.append(starts[1:], len(x)) - 1
        by_height = np.lexsort((y, column))
        return np.stack([x, y])[:, np.unique(np.concatenate([starts, ends, by_height[starts], by_height[ends]]))]

    def _signs(self, mark: Line, order: int, count: int) -> None:
        """Put a series' sign and interval on its curve now and then, in other columns than those of its neighbours.

        Signs sit on points of the curve, or between points so far apart that all series would share their columns. Each
        point has at most one interval, drawn at the sign next to it.
        """
        x, y = place(self.panel.x, mark.x), place(self.panel.y, mark.y)
        whole = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if mark.series is None or not len(whole):
            return
        every = max(8.0, self.columns / 8)
        centres = self._column_centres()
        spots = centres[np.arange((order + 0.5) * every / count, self.columns, every).astype(int)]
        nearest = whole[np.abs(x[whole] - spots[:, None]).argmin(axis=1)]
        after = np.clip(np.searchsorted(x[whole], spots), 1, max(1, len(whole) - 1))
        room = every / count / 2 * (centres[1] - centres[0])
        between = (np.abs(x[nearest] - spots) > room) & (spots > x[whole[0]]) & (spots < x[whole[-1]])
        # Nothing is drawn between the ends of a gap.
        between[between] = np.diff(whole)[after[between] - 1] == 1
        spots = np.unique(np.where(between, spots, x[nearest]))
        if mark.low is not None and mark.high is not None:
            ends = [place(self.panel.y, each)[whole] for each in (mark.low, mark.high)]
            beside = spots[np.unique(np.abs(spots - x[whole, None]).argmin(axis=1))]
            low, high = (np.interp(beside, x[whole], each) for each in ends)
            self._strokes("y", beside, low, high, "│", color_of(mark.series))
        self._dots(spots, np.interp(spots, x[whole], y[whole]), marker_of(mark.series), color_of(mark.series))

    def _points(self, mark: Points) -> None:
        x, y = place(self.panel.x, mark.x), place(self.panel.y, mark.y)
        shade = color_of(mark.series)
        if mark.low is not None and mark.high is not None:
            glyph, across, axis = ("─", y, self.panel.x) if mark.along == "x" else ("│", x, self.panel.y)
            self._strokes(mark.along, across, place(axis, mark.low), place(axis, mark.high), glyph, shade)
            if mark.along == "x":
                self._crossings(y, mark.low, mark.high, shade)
        self._dots(x, y, marker_of(mark.series), shade)

    def _crossings(self, y: Array, low: Array, high: Array, shade: int) -> None:
        """Intervals along x over the reference lines that they would hide."""
        for rule in self.panel.marks:
            if isinstance(rule, Rule) and rule.axis == "x":
                over = y[(low < rule.at) & (high > rule.at)]
                self._dots(np.full(len(over), places(self.panel.x, rule.at)), over, "┼", shade)

    def _box(self, mark: Box) -> None:
        shade, y = color_of(mark.series), np.array([mark.y])
        five = place(self.panel.x, np.array([mark.low, mark.quarter, mark.median, mark.three_quarters, mark.high]))
        self._strokes("x", y, five[:1], five[4:], "─", shade)
        self._strokes("x", y, five[1:2], five[3:4], "▒", shade)
        for value, glyph in ((five[:1], "├"), (five[4:], "┤"), (five[2:3], "┃")):
            self._dots(value, y, glyph, shade)

    def _bars(self, mark: Bars) -> None:
        centres, rows = self._column_centres(), self._row_centres()
        edges, heights = place(self.panel.x, mark.edges), place(self.panel.y, mark.heights)
        owner = np.searchsorted(edges[1:-1], centres, side="right")
        # A cell is filled when the bar reaches past a quarter of it, so that no bar of some height vanishes unseen.
        reach = heights[owner] + abs(rows[1] - rows[0]) / 4
        column, row = np.meshgrid(centres, rows)
        inside = (column >= edges[0]) & (column <= edges[-1]) & (row <= reach) & (mark.heights[owner] > 0)
        self._dots(column[inside], row[inside], "▒", color_of(mark.series))

    def _strokes(self, along: str, across: Array, low: Array, high: Array, glyph: str, shade: int) -> None:
        """Straight lines of one glyph along an axis, each from a low to a high place, in every cell they pass."""
        centres = self._column_centres() if along == "x" else self._row_centres()
        spots, others = [np.array([])], [np.array([])]
        for other, first, last in zip(across, np.minimum(low, high), np.maximum(low, high), strict=True):
            if np.isfinite(first + last + other):
                spots.append(np.concatenate([[first], centres[(centres > first) & (centres < last)], [last]]))
                others.append(np.full(len(spots[-1]), other))
        drawn, same = np.concatenate(spots), np.concatenate(others)
        x, y = (drawn, same) if along == "x" else (same, drawn)
        self._dots(x, y, glyph, shade)

    def _dots(self, x: Array, y: Array, glyph: str, shade: int) -> None:
        seen = np.isfinite(x) & np.isfinite(y)
        if seen.any():
            self.figure.draw(
                self.figure.signal(x[seen].tolist(), y[seen].tolist(), marker=plotext.marker(glyph, shade))
            )

    def _column_centres(self) -> Array:
        return np.linspace(*self.x, self.columns)

    def _row_centres(self) -> Array:
        return np.linspace(*self.y, self.rows)

    def _spaced(self, marks: list[tuple[float, str]]) -> list[tuple[float, str]]:
        """As many ticks as leave a space between their labels."""
        longest = max((len(label) for _, label in marks), default=1) + 2
        every = max(1, -(-len(marks) * longest // max(1, self.columns)))
        return marks[::every]


def _outlined(axis: Axis, marks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Categories beneath their headings: all flush left, where without headings they are flush right."""
    if not axis.headings:
        return marks
    labels = [label if spot in axis.headings else f"  {label}" for spot, label in marks]
    longest = max(map(len, labels))
    return [(spot, label.ljust(longest)) for (spot, _), label in zip(marks, labels, strict=True)]


def _tidy(line: str) -> str:
    """Without plotext's resets and spaces where nothing is coloured."""
    line = re.sub(r"^\x1b\[0m|\x1b\[0m(?= *\x1b\[0m$)", "", line.replace(_BLANK, " "))
    return re.sub(r" *(\x1b\[0m)?$", r"\1", line) if "\x1b[38" in line else line.removesuffix("\x1b[0m").rstrip()
