"""A figure as text: braille curves, markers that tell series apart without colour, a legend above the picture."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from lossbench.charts.canvas import Canvas, color_of, marker_of
from lossbench.charts.figure import Cells, Figure, Panel
from lossbench.charts.heat import heat_map

__all__ = ["draw"]

_LEAST_HEIGHT = 8
_LEAST_WIDTH = 36
_ROOMY_WIDTH = 56


def draw(figure: Figure, *, width: int, height: int, color: bool) -> str:
    """The figure in `width` columns and about `height` rows: smaller screens get smaller panels, never cut ones."""
    lines = [_bold(line, color) for line in _fold(figure.title, width)] + list(_legend(figure.series, width, color))
    foot = _fold(figure.caption, width) if figure.caption else []
    room = height - len(lines) - len(foot)
    across = _panels_across(len(figure.panels), width, room)
    down = -(-len(figure.panels) // across)
    panel_height, panel_width = max(_LEAST_HEIGHT, room // down), (width - 2 * (across - 1)) // across
    for row in range(down):
        panels = figure.panels[row * across : (row + 1) * across]
        drawn = [_panel(panel, panel_width, panel_height, color) for panel in panels]
        lines += [_beside(parts, panel_width) for parts in zip_longest(*drawn, fillvalue="")]
    return "".join(f"{line.rstrip()}\n" for line in [*lines, *foot])


def _panels_across(count: int, width: int, room: int) -> int:
    """How many panels stand side by side: as few as leave each of them tall enough."""
    across = max(1, min(count, width // _ROOMY_WIDTH))
    if room // -(-count // across) < _LEAST_HEIGHT + 3:
        across = max(1, min(count, width // _LEAST_WIDTH))
    return across


def _panel(panel: Panel, width: int, height: int, color: bool) -> list[str]:
    heading = [_bold(line, color) for line in _fold(panel.title, width)] if panel.title else []
    names = panel.y.names
    if max(map(len, names), default=0) > 0.45 * width:
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
    return textwrap.wrap(text, max(8, width)) or [""]


def _paint(text: str, shade: int, color: bool) -> str:
    return f"\x1b[38;5;{shade}m{text}\x1b[0m" if color else text


def _bold(text: str, color: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if color and text else text


def _beside(parts: Sequence[str], width: int) -> str:
    return "  ".join(part + " " * (width - len(re.sub(r"\x1b\[[\d;]*m", "", part))) for part in parts)
