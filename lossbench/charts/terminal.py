"""A figure as text: braille curves, markers that tell series apart without colour, a legend above the picture."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, zip_longest

from lossbench.charts.canvas import Canvas, color_of, marker_of
from lossbench.charts.figure import Cells, Figure, Panel
from lossbench.charts.heat import heat_map

__all__ = ["draw"]

_LEAST_HEIGHT = 8
_READABLE_HEIGHT = 12
_LEAST_WIDTH = 36
_ROOMY_WIDTH = 56


def draw(figure: Figure, *, width: int, height: int, color: bool, endless: bool = False) -> str:
    """The figure in `width` columns and `height` rows: smaller screens get smaller panels, never cut ones.

    Panels for which no room is left, however small, are counted in a last line with the height that shows them. Where
    the page is endless they follow one another instead, each as tall as reads well.
    """
    head = [_bold(line, color) for line in _fold(figure.title, width)] + list(_legend(figure.series, width, color))
    foot = _fold(figure.caption, width) if figure.caption else []
    room = height - len(head) - len(foot)
    across = _panels_across(len(figure.panels), width, room)
    down = -(-len(figure.panels) // across)
    least = _READABLE_HEIGHT if endless and down > 1 else _LEAST_HEIGHT
    each = max(least, room // down)
    rows = _drawn(figure.panels, across, width, each, color)
    if each > least and sum(map(len, rows)) > room:
        # A panel with a long heading or many categories is taller than its share.
        rows = _drawn(figure.panels, across, width, least, color)
    needed = sum(map(len, rows))
    if needed > room and not endless:
        # One row more than the picture, for the prompt.
        remark = f"of {len(figure.panels)} panels; --height {height - room + needed + 1} shows all"
        shown = _fitting(rows, room - len(_fold(f"not shown: {len(figure.panels)} {remark}", width)))
        if shown < len(rows):
            foot += _fold(f"not shown: {len(figure.panels) - across * shown} {remark}", width)
            rows = rows[:shown]
    return "".join(f"{line.rstrip()}\n" for line in [*head, *chain(*rows), *foot])


def _drawn(panels: Sequence[Panel], across: int, width: int, height: int, color: bool) -> list[list[str]]:
    """The lines of each row of panels, `across` of them side by side, each about `height` lines high."""
    own = (width - 2 * (across - 1)) // across
    rows = []
    for first in range(0, len(panels), across):
        drawn = [_panel(panel, own, height, color) for panel in panels[first : first + across]]
        rows.append([_beside(parts, own) for parts in zip_longest(*drawn, fillvalue="")])
    return rows


def _fitting(rows: Sequence[Sequence[str]], room: int) -> int:
    """How many rows of panels fit from the first on; a single one is shown whatever its height."""
    ends = list(accumulate(map(len, rows)))
    return max(1, sum(end <= room for end in ends))


def _panels_across(count: int, width: int, room: int) -> int:
    """How many panels stand side by side: as few as leave each of them tall enough."""
    across = max(1, min(count, width // _ROOMY_WIDTH))
    if room // -(-count // across) < _LEAST_HEIGHT + 3:
        across = max(1, min(count, width // _LEAST_WIDTH))
    return across


def _panel(panel: Panel, width: int, height: int, color: bool) -> list[str]:
    heading = [_bold(line, color) for line in _fold(panel.title, width)] if panel.title else []
    names = panel.y.names
    if max(map(len, names), default=0) > width / 2:
        for number, name in enumerate(names, 1):
            heading += _fold(f"{number} {name}", width)
        panel = replace(panel, y=replace(panel.y, names=tuple(str(number) for number in range(1, len(names) + 1))))
    for mark in panel.marks:
        if isinstance(mark, Cells):
            return heading + heat_map(panel, mark, width, color)
    heading += _fold(panel.y.label, width) if panel.y.label else []
    return heading + Canvas(panel, width, max(_LEAST_HEIGHT - 1, height - len(heading))).lines(color)


def _legend(series: Sequence[str], width: int, color: bool) -> Iterator[str]:
    """Every named series with its sign, as many on a line as fit; a long name goes on below its beginning."""
    line = ""
    used = 0
    for index, name in enumerate(series):
        if not name:
            continue
        first, *rest = _fold(name, width - 2)
        size = len(first) + 2
        if used and used + 3 + size > width:
            yield line
            line, used = "", 0
        line += ("   " if used else "") + f"{_paint(marker_of(index), color_of(index), color)} {first}"
        used += (3 if used else 0) + size
        for part in rest:
            yield line
            line, used = f"  {part}", len(part) + 2
    if line:
        yield line


def _fold(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(8, width), break_on_hyphens=False) or [""]


def _paint(text: str, shade: int, color: bool) -> str:
    return f"\x1b[38;5;{shade}m{text}\x1b[0m" if color else text


def _bold(text: str, color: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if color and text else text


def _beside(parts: Sequence[str], width: int) -> str:
    return "  ".join(part + " " * (width - len(re.sub(r"\x1b\[[\d;]*m", "", part))) for part in parts)
