"""Tables and documents as HTML, for pages that stand alone."""

from collections.abc import Iterator
from html import escape

from lossbench.render.formats import visible
from lossbench.render.values import Column, Document, Item, Line, Table

__all__ = ["STYLE", "html_sections", "html_table"]

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #8886; }
p { margin: .4rem 0; } p, h1, h3 { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
.table { margin: .6rem 0; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
th { border-bottom: 2px solid #8886; } td { border-bottom: 1px solid #8883; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: #0a7d33; font-weight: 600; } .bad { color: #c02020; font-weight: 600; }
.warn { color: #b35900; } .dim { opacity: .65; }
@media (prefers-color-scheme: dark) { .good { color: #4cc38a; } .bad { color: #ff7b72; } .warn { color: #ffb057; } }
figure { margin: 1.5rem 0; } h3 { font-size: 1rem; margin: .4rem 0; } figcaption { font-size: .85rem; opacity: .75; }
.panels { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.panels img { max-width: 100%; height: auto; background: #fff; }
pre { overflow-x: auto; background: #8882; padding: .6rem; font-size: .85rem; }
@media print { body { font-size: 10pt; max-width: none; padding: 0; } .wide { overflow: visible; }
  th, td { white-space: normal; } pre { white-space: pre-wrap; } .table, figure, tr, pre, img { break-inside: avoid; }
  h1, h2, h3, thead { break-after: avoid; } .panels { grid-template-columns: repeat(auto-fit, minmax(45%, 1fr)); }
  .panels img { max-height: 85vh; width: auto; } }
"""


def html_sections(document: Document) -> Iterator[str]:
    """Each section of a document as one `section` element."""
    for section in document.sections:
        yield f"<section>\n<h2>{escape(section.heading)}</h2>\n{''.join(map(_item, section.body))}</section>\n"


def html_table(table: Table) -> str:
    """A table that scrolls sideways by itself where the screen is narrow."""
    columns, cells = visible(table)
    title = f"<h3>{escape(table.title)}</h3>\n" if table.title else ""
    head = "".join(f"<th{_classes(column)}>{escape(column.header)}</th>" for column in columns)
    rows = "".join(f"<tr>{''.join(map(_cell, columns, row))}</tr>\n" for row in cells)
    body = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n"
    return f'<div class="table">\n{title}<div class="wide"><table>\n{body}</table></div>\n</div>\n'


def _item(item: Item) -> str:
    match item:
        case Table():
            return html_table(item)
        case Line(text=text, tone=tone):
            return f'<p class="{tone}">{escape(text)}</p>\n'
    return f"<p>{escape(item)}</p>\n"


def _cell(column: Column, text: str) -> str:
    return f"<td{_classes(column, column.tones.get(text, ''))}>{escape(text)}</td>"


def _classes(column: Column, tone: str = "") -> str:
    names = [*(["number"] if column.numeric else []), *([tone] if tone else [])]
    return f' class="{" ".join(names)}"' if names else ""
