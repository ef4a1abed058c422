"""Values in, text out: tables and documents in every format, with width and colour as arguments."""

from typing import Literal

from lossbench.render import formats, screen
from lossbench.render.cells import clock
from lossbench.render.values import Column, Document, Item, Kind, Line, Section, Table, Tone, measure_column

__all__ = [
    "Column",
    "Document",
    "Format",
    "Item",
    "Kind",
    "Line",
    "Section",
    "Table",
    "Tone",
    "clock",
    "document",
    "measure_column",
    "table",
]

Format = Literal["table", "json", "jsonl", "csv", "md", "latex"]


def table(value: Table, format: Format, *, width: int | None, color: bool) -> str:
    """A table as text; `width` is None where lines may be as long as they like."""
    match format:
        case "table":
            return screen.plain_table(value) if width is None else screen.screen_table(value, width=width, color=color)
        case "json":
            return formats.json_table(value)
        case "jsonl":
            return formats.jsonl_table(value)
        case "csv":
            return formats.csv_table(value)
        case "md":
            return formats.markdown_table(value)
        case "latex":
            return formats.latex_table(value)


def document(value: Document, format: Format, *, width: int | None, color: bool, digits: int | None = None) -> str:
    """A report as text; jsonl and csv hold its `records` alone, md and latex full precision unless given `digits`."""
    match format:
        case "table":
            return screen.screen_document(value, width=width, color=color)
        case "json":
            return formats.document_json(value)
        case "jsonl" | "csv":
            return table(formats.versioned(value.records), format, width=width, color=color)
        case "md":
            return formats.document_markdown(value, digits)
        case "latex":
            return formats.document_latex(value, digits)
