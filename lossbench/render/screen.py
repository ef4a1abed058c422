"""Tables and documents as lines of text: aligned for a pipe, fitted to the width of a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Literal

from rich.cells import cell_len

from lossbench.render.cells import printable
from lossbench.render.formats import visible
from lossbench.render.layout import GAP, fit, fold, lift_shared, natural_widths, total
from lossbench.render.values import Column, Document, Item, Line, Table, Tone

__all__ = ["plain_table", "screen_document", "screen_table"]

_Style = Tone | Literal["bold"]
_Cell = tuple[Column, str, int, _Style]
"""Column, text, width and style."""
_STYLES: dict[_Style, str] = {"good": "green", "bad": "red", "warn": "yellow", "dim": "dim", "bold": "bold"}


def plain_table(table: Table) -> str:
    """Aligned columns for a pipe: one line per row, as wide as it takes."""
    columns, cells = visible(table)
    widths = natural_widths(columns, cells)
    lines = [printable(table.title)] if table.title else []
    for row in ([column.header for column in columns], *cells):
        lines.append((" " * GAP).join(map(_padded, columns, row, widths)).rstrip())
    return "".join(f"{line}\n" for line in lines)


def screen_table(table: Table, *, width: int, color: bool) -> str:
    """The table within `width` characters, whole: what does not fit beside continues below.

    When it is too wide, the values that every row shares move above it first, then texts fold, then columns move into
    panels below; where not even two columns fit, each row becomes a block of lines.
    """
    columns, cells = visible(table)
    lines = [_painted(part, "bold", color) for part in fold(printable(table.title), width)] if table.title else []
    if not cells:
        return _joined([*lines, _painted("no rows", "dim", color)])
    if total(natural_widths(columns, cells)) > width:
        stay, shared = lift_shared(columns, cells)
        if shared:
            facts = "; ".join(f"{columns[index].header} {cells[0][index]}" for index in shared)
            lines += [_painted(part, "dim", color) for part in fold(f"all rows: {facts}", width)]
        columns, cells = tuple(columns[i] for i in stay), [[row[i] for i in stay] for row in cells]
        panels = fit(columns, cells, width)
    else:
        panels = [list(enumerate(natural_widths(columns, cells)))]
    if panels is None:
        lines += _stacked(columns, cells, width, color)
    else:
        for number, panel in enumerate(panels):
            lines += [""] if number else []
            lines += _grid(columns, cells, panel, color)
    return _joined(lines)


def screen_document(document: Document, *, width: int | None, color: bool) -> str:
    """Headed sections, one below the other; paragraphs are wrapped only where there is a width."""
    parts = [_paragraph(document.title, "bold", width, color)]
    for section in document.sections:
        body = [_paragraph(section.heading, "bold", width, color)]
        before: Item | None = None
        for item in section.body:
            match item:
                case Table():
                    body += ["\n"] if isinstance(before, Table) else []
                    body.append(plain_table(item) if width is None else screen_table(item, width=width, color=color))
                case Line(text=text, tone=tone):
                    body.append(_paragraph(text, tone, width, color))
                case _:
                    body.append(_paragraph(item, "plain", width, color))
            before = item
        parts.append("".join(body))
    return "\n".join(parts)


def _paragraph(text: str, style: _Style, width: int | None, color: bool) -> str:
    return _joined(_painted(part, style, color) for part in ([text] if width is None else fold(text, width)))


def _grid(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], panel: list[tuple[int, int]], color: bool
) -> Iterator[str]:
    head: list[_Cell] = [(columns[index], columns[index].header, size, "bold") for index, size in panel]
    yield from _row(head, color, bottom=True)
    yield _painted("─" * total(size for _, size in panel), "dim", color)
    for row in cells:
        yield from _row([(columns[i], row[i], size, columns[i].tones.get(row[i], "plain")) for i, size in panel], color)


def _row(cells: list[_Cell], color: bool, *, bottom: bool = False) -> Iterator[str]:
    """The lines of one row, texts folded and aligned to the top or the bottom."""
    folded = [fold(text, size) for _, text, size, _ in cells]
    height = max(map(len, folded))
    if bottom:
        folded = [[""] * (height - len(parts)) + parts for parts in folded]
    for parts in zip_longest(*folded, fillvalue=""):
        line, gap = "", 0
        for (column, _, size, style), part in zip(cells, parts, strict=True):
            padded = _padded(column, part, size)
            text = padded.rstrip()
            # Blanks wait for a text after them, so that no line ends in any.
            line += " " * gap + _painted(text, style, color) if text else ""
            gap = GAP + len(padded) - len(text) + (0 if text else gap)
        yield line


def _stacked(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int, color: bool) -> Iterator[str]:
    for number, row in enumerate(cells):
        if number:
            yield ""
        for column, cell in zip(columns, row, strict=True):
            for part in fold(f"{column.header}: {cell}", width):
                yield _painted(part, column.tones.get(cell, "plain"), color)


def _padded(column: Column, cell: str, size: int) -> str:
    space = " " * (size - cell_len(cell))
    return space + cell if column.numeric else cell + space


def _painted(text: str, style: _Style, color: bool) -> str:
    if not color or style not in _STYLES:
        return text
    # Rich's styles alone, which load in a third of the time of its console.
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(_STYLES[style]).render(text, color_system=ColorSystem.STANDARD)


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
