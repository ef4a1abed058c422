"""What can be rendered: tables of raw values, and documents made of headed lines and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lossbench.measures import Measure

__all__ = ["Column", "Document", "Item", "Kind", "Line", "Section", "Table", "Tone", "measure_column"]

Kind = Literal["text", "integer", "number", "percent", "pvalue", "time", "duration", "boolean"]
Tone = Literal["plain", "good", "bad", "warn", "dim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: `key` names it for machines, `title` for people, `kind` says how a raw value is shown."""

    key: str
    title: str
    kind: Kind = "text"
    unit: str | None = ""
    """In the header; None where the table's title says it."""
    digits: int | None = None
    """Decimals of a number; without it people see four significant digits."""
    signed: bool = False
    anchor: bool = False
    """Names the row, and is repeated when a table too wide for the screen continues below."""
    hidden: bool = False
    """Not on screens, and not where values are rounded."""
    tones: Mapping[str, Tone] = field(default_factory=dict, hash=False)
    """Colours of particular words."""

    @property
    def header(self) -> str:
        """The title with its unit."""
        if self.unit is None:
            return self.title
        unit = self.unit or ("%" if self.kind == "percent" else "")
        return f"{self.title} [{unit}]" if unit else self.title

    @property
    def numeric(self) -> bool:
        return self.kind in ("integer", "number", "percent", "pvalue", "duration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of raw values: fractions stay fractions, nothing is rounded, a missing value is None."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]
    title: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name}: a row of {len(row)} values for {len(self.columns)} columns")


@dataclass(frozen=True, slots=True)
class Line:
    """One paragraph of a document."""

    text: str
    tone: Tone = "plain"


Item = str | Line | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    body: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A report: sections for people, and `records`, the same findings as one flat table for machines."""

    title: str
    sections: tuple[Section, ...]
    records: Table


def measure_column(
    measure: Measure,
    *,
    key: str | None = None,
    title: str | None = None,
    digits: int | None = None,
    signed: bool = False,
) -> Column:
    """The column of a metric: fractions are shown in percent, everything else in its own unit."""
    fraction = measure.unit == "fraction"
    return Column(
        key=key or measure.name,
        title=title or measure.title,
        kind="percent" if fraction else "number",
        unit="" if fraction else measure.shown_unit,
        digits=2 if fraction and digits is None else digits,
        signed=signed,
    )
