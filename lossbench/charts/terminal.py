"""A figure as text: braille curves, markers that tell series apart without colour, a legend above the picture.

The canvas is imported where something is drawn on it: plotext reads its manual when it is imported, which takes longer
than a heat map, the numbers of a figure or a whole chart's queries.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, zip_longest

from lossbench.charts.figure import Cells, Figure, Panel
from lossbench.charts.heat import heat_map
from lossbench.charts.shorten import fewest, shortened

__all__ = ["draw"]

_LEAST_HEIGHT = 8
_READABLE_HEIGHT = 12
_LEAST_WIDTH = 36
_ROOMY_WIDTH = 56


def draw(figure: Figure, *, width: int, height: int, color: bool, endless: bool = False) -> str:
    """The figure in `width` columns and `height` rows: smaller screens get smaller panels, never cut ones.

    Panels for which no room is left, however small, and categories that a single panel has no lines for, are counted in
    a last line with the height that shows them. Where the page is endless panels follow one another instead, each as
    tall as reads well.
    """
    head = [_bold(line, color) for line in _fold(figure.title, width)] + list(_legend(figure.series, width, color))
    foot = _fold(figure.caption, width) if figure.caption else []
    room = height - len(head) - len(foot)
    most = _panels_across(len(figure.panels), width, room)
    across = most - most % figure.together or most
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
        advice = f"; --height {height - room + needed + 1} shows all"
        rows, remark = _fitting(figure.panels, rows, across, width, room - 1 - (width < _ROOMY_WIDTH), color)
        foot += _fold(f"not shown: {remark}{advice}", width) if remark else []
    return "".join(f"{line.rstrip()}\n" for line in [*head, *chain(*rows), *foot])


def _drawn(panels: Sequence[Panel], across: int, width: int, height: int, color: bool) -> list[list[str]]:
    """The lines of each row of panels, `across` of them side by side, each about `height` lines high."""
    own = (width - 2 * (across - 1)) // across
    rows = []
    for first in range(0, len(panels), across):
        drawn = [_panel(panel, own, height, color) for panel in panels[first : first + across]]
        rows.append([_beside(parts, own) for parts in zip_longest(*drawn, fillvalue="")])
    return rows


def _fitting(
    panels: Sequence[Panel], rows: list[list[str]], across: int, width: int, room: int, color: bool
) -> tuple[list[list[str]], str]:
    """As many rows of panels as fit from the first on, and what is left out; a first one too high loses categories."""
    ends = list(accumulate(map(len, rows)))
    shown = max(1, sum(end <= room for end in ends))
    left_out = []
    # What is shown takes the room of what is not.
    taller = _drawn(panels[: across * shown], across, width, room // shown, color)
    if sum(map(len, taller)) <= room:
        rows = taller
    if ends[0] > room:
        own = (width - 2 * (across - 1)) // across
        first = [_squeezed(panel, own, room, color) for panel in panels[:across]]
        rows = [[_beside(parts, own) for parts in zip_longest(*(lines for lines, _ in first), fillvalue="")]]
        missing, every = sum(count for _, count in first), sum(len(panel.y.names) for panel in panels[:across])
        left_out += [f"{missing} of {every} rows"] if missing else []
    if across * shown < len(panels):
        left_out.append(f"{len(panels) - across * shown} of {len(panels)} panels")
    return rows[:shown], " and ".join(left_out)


def _squeezed(panel: Panel, width: int, room: int, color: bool) -> tuple[list[str], int]:
    """The panel with as many of its categories as fit into `room` lines, and how many these leave out."""
    lines, every = _panel(panel, width, _LEAST_HEIGHT, color), len(panel.y.names)
    if len(lines) <= room or not every:
        return lines, 0
    low, high = fewest(panel.y), every
    while high - low > 1:
        middle = (low + high) // 2
        fits = len(_panel(shortened(panel, middle), width, _LEAST_HEIGHT, color)) <= room
        low, high = (middle, high) if fits else (low, middle)
    smaller = shortened(panel, low)
    return _panel(smaller, width, _LEAST_HEIGHT, color), every - len(smaller.y.names)


def _panels_across(count: int, width: int, room: int) -> int:
    """How many panels stand side by side: as few as leave each of them tall enough."""
    across = max(1, min(count, width // _ROOMY_WIDTH))
    if room // -(-count // across) < _LEAST_HEIGHT + 3:
        across = max(1, min(count, width // _LEAST_WIDTH))
    return across


def _panel(panel: Panel, width: int, height: int, color: bool) -> list[str]:
    heading = [_bold(line, color) for line in _fold(panel.title, width)] if panel.title else []
    if max(map(len, panel.y.names), default=0) > width / 2:
        listed, panel = _numbered(panel)
        heading += chain.from_iterable(_fold(line, width) for line in listed)
    for mark in panel.marks:
        if isinstance(mark, Cells):
            return heading + heat_map(panel, mark, width, color)
    from lossbench.charts.canvas import Canvas

    heading += _fold(panel.y.label, width) if panel.y.label else []
    return heading + Canvas(panel, width, max(_LEAST_HEIGHT - 1, height - len(heading))).lines(color)


def _numbered(panel: Panel) -> tuple[list[str], Panel]:
    """Categories too long to stand beside the picture, as a list above it, and the panel with their numbers."""
    lines: list[str] = []
    labels: list[str] = []
    for place, name in enumerate(panel.y.names):
        heads = place in panel.y.headings
        labels.append("" if heads else str(1 + sum(map(bool, labels))))
        lines.append(name if heads else f"{labels[-1]} {name}")
    return lines, replace(panel, y=replace(panel.y, names=tuple(labels), headings=()))


def _legend(series: Sequence[str], width: int, color: bool) -> Iterator[str]:
    """Every named series with its sign, as many on a line as fit; a long name goes on below its beginning."""
    if not any(series):
        return
    from lossbench.charts.canvas import color_of, marker_of

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
