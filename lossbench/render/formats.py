"""The formats that files and programs read: json, jsonl, csv, Markdown and LaTeX."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lossbench.render.cells import machine, shown
from lossbench.render.values import Column, Document, Item, Line, Section, Table

__all__ = [
    "SCHEMA_VERSION",
    "csv_table",
    "document_json",
    "document_latex",
    "document_markdown",
    "json_table",
    "jsonl_table",
    "latex_table",
    "markdown_table",
    "versioned",
    "visible",
]

SCHEMA_VERSION = 1
"""Raised when a key of the JSON forms is renamed, removed or comes to mean something else."""

_ROUNDED = ("number", "percent")

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "|": r"\textbar{}",
}  # fmt: skip


def visible(table: Table) -> tuple[tuple[Column, ...], list[list[str]]]:
    """The columns people see and their cells as text."""
    kept = [index for index, column in enumerate(table.columns) if not column.hidden]
    columns = tuple(table.columns[index] for index in kept)
    return columns, [[shown(table.columns[index], row[index]) for index in kept] for row in table.rows]


def versioned(table: Table) -> Table:
    """The table with the version of its keys in every row, for formats that have no other place for it."""
    column = Column(key="schema_version", title="schema version", kind="integer")
    return replace(table, columns=(*table.columns, column), rows=tuple((*row, SCHEMA_VERSION) for row in table.rows))


def json_table(table: Table) -> str:
    return _json({"schema_version": SCHEMA_VERSION, "name": table.name, "rows": _records(table)})


def jsonl_table(table: Table) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in _records(table))


def csv_table(table: Table) -> str:
    """RFC 4180 but for the line ends, which are Unix ones so that `wc`, `cut` and `diff` work."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.key for column in table.columns])
    writer.writerows([machine(value) for value in row] for row in table.rows)
    return file.getvalue()


def markdown_table(table: Table, digits: int | None = None) -> str:
    """The values in full under the keys of their columns; rounded for people under their titles with `digits`."""
    columns, header, cells = _cells(table, digits)
    rule = ["---:" if column.numeric else ":---" for column in columns]
    lines = [f"| {' | '.join(map(_markdown, row))} |" for row in (header, *cells)]
    lines.insert(1, f"| {' | '.join(rule)} |")
    name = _name(table, digits)
    title = [f"**{_markdown(name)}**", ""] if name else []
    return "\n".join([*title, *lines, "", f"<!-- schema_version: {SCHEMA_VERSION} -->"]) + "\n"


def latex_table(table: Table, digits: int | None = None) -> str:
    """A `tabular` for the booktabs package; values as in Markdown."""
    columns, header, cells = _cells(table, digits)
    spec = "".join("r" if column.numeric else "l" for column in columns)
    lines = [f"% schema_version: {SCHEMA_VERSION}", f"% {_name(table, digits)}"]
    lines += [
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        _latex_row(header),
        r"\midrule",
    ]
    lines += [_latex_row(row) for row in cells]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def document_json(document: Document) -> str:
    sections = [
        {
            "heading": section.heading,
            "lines": [text for item in section.body if (text := _text(item)) is not None],
            "tables": [
                {"name": item.name, "title": item.title, "rows": _records(item)}
                for item in section.body
                if isinstance(item, Table)
            ],
        }
        for section in document.sections
    ]
    return _json(
        {
            "schema_version": SCHEMA_VERSION,
            "title": document.title,
            "sections": sections,
            "name": document.records.name,
            "rows": _records(document.records),
        }
    )


def document_markdown(document: Document, digits: int | None = None) -> str:
    """Every section, and without `digits` the records in full after them."""
    parts = [f"# {_markdown(document.title)}\n"]
    for section in _sections(document, digits):
        parts.append(f"## {_markdown(section.heading)}\n")
        for item in section.body:
            parts.append(
                markdown_table(item, digits) if isinstance(item, Table) else f"{_markdown(_text(item) or '')}\n"
            )
    return "\n".join(parts)


def document_latex(document: Document, digits: int | None = None) -> str:
    """As `document_markdown`."""
    parts = [f"% {document.title}\n"]
    for section in _sections(document, digits):
        parts.append(rf"\paragraph{{{_latex(section.heading)}}}" + "\n")
        for item in section.body:
            parts.append(latex_table(item, digits) if isinstance(item, Table) else f"{_latex(_text(item) or '')}\n")
    return "\n".join(parts)


def _sections(document: Document, digits: int | None) -> tuple[Section, ...]:
    records = Section(heading="Records", body=(document.records,))
    return document.sections if digits is not None else (*document.sections, records)


def _name(table: Table, digits: int | None) -> str:
    # Titles speak of percent and points, which values in full are not in.
    return table.name if digits is None else table.title


def _cells(table: Table, digits: int | None) -> tuple[tuple[Column, ...], list[str], list[list[str]]]:
    """Columns, headers and cells: what csv holds, or what people read with so many decimals."""
    if digits is None:
        cells = [["" if value is None else str(value) for value in map(machine, row)] for row in table.rows]
        return table.columns, [column.key for column in table.columns], cells
    rounded = tuple(replace(each, digits=digits) if each.kind in _ROUNDED else each for each in table.columns)
    columns, cells = visible(replace(table, columns=rounded))
    return columns, [column.header for column in columns], cells


def _records(table: Table) -> list[dict[str, Any]]:
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, map(machine, row), strict=True)) for row in table.rows]


def _text(item: Item) -> str | None:
    match item:
        case str():
            return item
        case Line(text=text):
            return text
    return None


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _markdown(text: str) -> str:
    for sign in "\\|*_`<":
        text = text.replace(sign, f"\\{sign}")
    return text


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(map(_latex, cells)) + r" \\"
