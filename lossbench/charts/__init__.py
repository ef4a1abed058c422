"""Charts: arrays become a `Figure`, and a `Figure` becomes text for a terminal, a file for a paper, or csv."""

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
    "svg",
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
            content = paper.draw(figure, path.suffix[1:])  # type: ignore[arg-type]
        case ".csv":
            content = numbers.table(figure).encode()
        case ".txt":
            content = terminal.draw(figure, width=120, height=40, color=False, endless=True).encode()
        case _:
            known = ".svg, .pdf, .png, .csv or .txt"
            raise UsageError(f"cannot write {path}: its ending has to be {known}")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def svg(figure: Figure) -> str:
    """The figure as SVG text, to be put into a page.

    Raises:
        UsageError: no matplotlib.
    """
    return paper.draw(figure, "svg").decode()
