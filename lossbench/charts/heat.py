"""A grid of numbers with the better ones brighter; without colour, the best one carries a star."""

import numpy as np

from lossbench.charts.figure import Cells, Panel

__all__ = ["heat_map"]

_RAMP = (17, 18, 19, 25, 31, 37, 71, 107, 143, 179)
"""Of the 256-colour palette, from dark blue to gold."""


def heat_map(panel: Panel, cells: Cells, width: int, color: bool) -> list[str]:
    """Rows of the grid in `width` characters, in blocks of columns where they do not all fit side by side."""
    values, known = cells.values, cells.values[~np.isnan(cells.values)]
    worst, best = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
    if not cells.higher_is_better:
        worst, best = best, worst
    star = best if cells.mark_best else np.nan
    shown = [[_text(float(value), cells.digits, float(star)) for value in row] for row in values]
    # One more than the longest name, so that it keeps off the coloured ground of the cells.
    margin = 1 + max([len(name) for name in panel.y.names] + [len(panel.y.label)])
    size = max([len(name) for name in panel.x.names] + [len(text) for row in shown for text in row]) + 2
    across = max(1, (width - margin) // size)
    lines = []
    for first in range(0, values.shape[1], across):
        part = range(first, min(first + across, values.shape[1]))
        lines += [] if not first else [""]
        lines.append(" " * margin + "  " + panel.x.label)
        lines.append(panel.y.label.ljust(margin) + "".join(panel.x.names[j].rjust(size - 1) + " " for j in part))
        for i, name in enumerate(panel.y.names):
            texts = [_cell(shown[i][j], float(values[i, j]), float(best), float(worst), size, color) for j in part]
            lines.append(name.ljust(margin) + "".join(texts))
    return lines


def _text(value: float, digits: int, star: float) -> str:
    return "- " if np.isnan(value) else f"{value:.{digits}f}" + ("*" if value == star else " ")


def _cell(text: str, value: float, best: float, worst: float, size: int, color: bool) -> str:
    padded = text.rjust(size)
    if not color or np.isnan(value):
        return padded
    share = 1.0 if best == worst else (value - worst) / (best - worst)
    step = min(len(_RAMP) - 1, int(share * len(_RAMP)))
    return f"\x1b[48;5;{_RAMP[step]}m\x1b[38;5;{16 if step > 5 else 231}m{padded}\x1b[0m"
