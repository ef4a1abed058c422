"""How a table is fitted into a number of characters: which columns fold, and which continue below."""

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, chop_cells

from lossbench.render.values import Column

__all__ = ["GAP", "fit", "fold", "lift_shared", "natural_widths", "total"]

GAP = 2
_NARROWEST = 20
"""A text column is folded down to this many characters before columns move into a panel below."""


def total(widths: Iterable[int]) -> int:
    """Characters that columns take side by side."""
    listed = list(widths)
    return sum(listed) + GAP * max(0, len(listed) - 1)


def natural_widths(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[int]:
    """Widths at which nothing folds."""
    rows = [[column.header for column in columns], *cells]
    return [max(cell_len(row[index]) for row in rows) for index in range(len(columns))]


def lift_shared(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Indices of the columns that stay, and of those in which all rows agree; anchors always stay."""
    shared = [
        index
        for index, column in enumerate(columns)
        if index and not column.anchor and len(cells) > 1 and len({row[index] for row in cells}) == 1
    ]
    return [index for index in range(len(columns)) if index not in shared], shared


def fit(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[list[tuple[int, int]]] | None:
    """Panels of (column, width) that together show every column, each panel within `width`.

    First headers wrap at their spaces, then text folds; when that is not enough the columns spread over several
    panels, each beginning with the anchors. None when the anchors leave no room for a column beside them.
    """
    widths = [
        max([cell_len(row[index]) for row in cells] + [cell_len(word) for word in column.header.split()])
        for index, column in enumerate(columns)
    ]
    texts = [index for index, column in enumerate(columns) if not column.numeric]
    folded = _shrink(widths, texts, width, _NARROWEST)
    if total(folded) <= width:
        return [list(enumerate(folded))]
    anchors = [index for index, column in enumerate(columns) if index == 0 or column.anchor]
    head = _shrink([widths[index] for index in anchors], range(len(anchors)), width // 2, _NARROWEST // 2)
    room = width - total(head) - GAP
    if room <= 0:
        return None
    start = list(zip(anchors, head, strict=True))
    panels = [start]
    for index, natural in enumerate(widths):
        if index in anchors:
            continue
        size = min(natural, room) if index in texts else natural
        if size > room:
            return None
        if total(taken for _, taken in panels[-1]) + GAP + size > width:
            panels.append(start)
        panels[-1] = [*panels[-1], (index, size)]
    return panels


def fold(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` characters, broken at spaces, else after punctuation, else anywhere."""
    lines, line = [], ""
    for word in text.split():
        parts = [word] if cell_len(word) <= width else re.findall(r"[^,:;=/+-]*[,:;=/+-]+|[^,:;=/+-]+", word)
        for number, part in enumerate(parts):
            joined = f"{line} {part}" if line and number == 0 else line + part
            if cell_len(joined) > width:
                lines += [line] if line else []
                *whole, joined = chop_cells(part, width)
                lines += whole
            line = joined
    return [*lines, line] if line or not lines else lines


def _shrink(widths: Sequence[int], candidates: Iterable[int], width: int, least: int) -> list[int]:
    """Take single characters from the widest candidates until the sum fits or all are at `least`."""
    sizes, candidates = list(widths), list(candidates)
    for _ in range(total(sizes) - width):
        wide = [index for index in candidates if sizes[index] > least]
        if not wide:
            break
        sizes[max(wide, key=lambda index: sizes[index])] -= 1
    return sizes
