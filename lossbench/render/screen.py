"""Tables and documents as lines of text: aligned for a pipe, fitted to the width of a terminal."""

import io
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from lossbench.render.formats import visible
from lossbench.render.layout import GAP, fit, fold, lift_shared, natural_widths, total
from lossbench.render.values import Column, Document, Item, Line, Table, Tone

__all__ = ["plain_table", "screen_document", "screen_table"]

_STYLES: dict[Tone, str] = {"plain": "", "good": "green", "bad": "red", "warn": "yellow", "dim": "dim"}


def plain_table(table: Table) -> str:
    """Aligned columns for a pipe: one line per row, as wide as it takes."""
    columns, cells = visible(table)
    widths = natural_widths(columns, cells)
    lines = [table.title] if table.title else []
    for row in ([column.header for column in columns], *cells):
        lines.append((" " * GAP).join(map(_padded, columns, row, widths)).rstrip())
    return "".join(f"{line}\n" for line in lines)


def screen_table(table: Table, *, width: int, color: bool) -> str:
    """The table within `width` characters, whole: what does not fit beside continues below.

    When it is too wide, the values that every row shares move above it first, then texts fold, then columns move into
    panels below; where not even two columns fit, each row becomes a block of lines.
    """
    columns, cells = visible(table)
    lines = [Text(part, style="bold") for part in fold(table.title, width)] if table.title else []
    if not cells:
        return _print([*lines, Text("no rows", style="dim")], color)
    if total(natural_widths(columns, cells)) > width:
        stay, shared = lift_shared(columns, cells)
        if shared:
            facts = "; ".join(f"{columns[index].header} {cells[0][index]}" for index in shared)
            lines += [Text(part, style="dim") for part in fold(f"all rows: {facts}", width)]
        columns, cells = tuple(columns[i] for i in stay), [[row[i] for i in stay] for row in cells]
        panels = fit(columns, cells, width)
    else:
        panels = [list(enumerate(natural_widths(columns, cells)))]
    if panels is None:
        lines += _stacked(columns, cells, width)
    else:
        for number, panel in enumerate(panels):
            lines += [Text("")] if number else []
            lines += _grid(columns, cells, panel)
    return _print(lines, color)


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
                    body.append(_paragraph(text, _STYLES[tone], width, color))
                case _:
                    body.append(_paragraph(item, "", width, color))
            before = item
        parts.append("".join(body))
    return "\n".join(parts)


def _paragraph(text: str, style: str, width: int | None, color: bool) -> str:
    return _print([Text(part, style=style) for part in ([text] if width is None else fold(text, width))], color)


def _grid(columns: Sequence[Column], cells: Sequence[Sequence[str]], panel: list[tuple[int, int]]) -> Iterator[Text]:
    head = [(columns[index], columns[index].header, size, "bold") for index, size in panel]
    yield from _row(head, bottom=True)
    yield Text("─" * total(size for _, size in panel), style="dim")
    for row in cells:
        yield from _row(
            [(columns[i], row[i], size, _STYLES[columns[i].tones.get(row[i], "plain")]) for i, size in panel]
        )


def _row(cells: list[tuple[Column, str, int, str]], *, bottom: bool = False) -> Iterator[Text]:
    """The lines of one row of (column, text, width, style), texts folded and aligned to the top or the bottom."""
    folded = [fold(text, size) for _, text, size, _ in cells]
    height = max(map(len, folded))
    if bottom:
        folded = [[""] * (height - len(parts)) + parts for parts in folded]
    for parts in zip_longest(*folded, fillvalue=""):
        line = Text()
        for (column, _, size, style), part in zip(cells, parts, strict=True):
            line.append(" " * GAP if line.plain else "")
            line.append(_padded(column, part, size), style=style)
        line.rstrip()
        yield line


def _stacked(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> Iterator[Text]:
    for number, row in enumerate(cells):
        if number:
            yield Text("")
        for column, cell in zip(columns, row, strict=True):
            for part in fold(f"{column.header}: {cell}", width):
                yield Text(part, style=_STYLES[column.tones.get(cell, "plain")])


def _padded(column: Column, cell: str, size: int) -> str:
    space = " " * (size - cell_len(cell))
    return space + cell if column.numeric else cell + space


def _print(lines: Sequence[Text], color: bool) -> str:
    if not color:
        return "".join(f"{line.plain}\n" for line in lines)
    # An empty environment keeps Rich from looking at COLUMNS, NO_COLOR and TERM: the caller has decided already.
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", legacy_windows=False, _environ={})
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)
    return file.getvalue()
