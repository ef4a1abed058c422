"""Charts: arrays become a `Figure`, and a `Figure` becomes text for a terminal, a file for a paper, or csv."""

import csv
from pathlib import Path

from lossbench.charts import numbers, paper, terminal
from lossbench.charts.figure import Axis, Bars, Box, Cells, Figure, Line, Mark, Panel, Points, Rule, Span, array
from lossbench.errors import UsageError

__all__ = [
    "Axis",
    "Bars",
    "Box",
    "Cells",
    "Figure",
    "Line",
    "Mark",
    "Panel",
    "Points",
    "Rule",
    "Span",
    "array",
    "save",
    "text",
]

text = terminal.draw


def save(figure: Figure, path: Path) -> None:
    """Write the figure as .svg, .pdf or .png, its numbers as .csv, or the terminal's picture as .txt.

    Raises:
        UsageError: another extension, no matplotlib, or a file that cannot be written.
    """
    match path.suffix:
        case ".svg" | ".pdf" | ".png":
            paper.save(figure, path)
        case ".csv" | ".txt":
            try:
                with path.open("w", encoding="utf-8", newline="") as file:
                    if path.suffix == ".txt":
                        file.write(terminal.draw(figure, width=120, height=40, color=False))
                    else:
                        writer = csv.writer(file, lineterminator="\n")
                        writer.writerow(numbers.HEADER)
                        writer.writerows(numbers.rows(figure))
            except OSError as error:
                raise UsageError(f"cannot write {path}: {error.strerror}") from error
        case suffix:
            raise UsageError(f"cannot write {path}: {suffix or 'no extension'} is none of .svg, .pdf, .png, .csv, .txt")
