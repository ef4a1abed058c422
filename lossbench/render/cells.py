"""One raw value as the text a person or a program reads."""

import math
from datetime import UTC, datetime
from typing import Any

from lossbench.render.values import Column

__all__ = ["MISSING", "clock", "machine", "printable", "shown"]

MISSING = "-"


def shown(column: Column, value: object) -> str:
    """The value as people read it, on one line."""
    match value:
        case None:
            return MISSING
        case bool():
            return "yes" if value else "no"
        case datetime():
            return _utc(value).strftime("%Y-%m-%d %H:%M:%S")
        case int() | float() if not math.isfinite(value):
            return str(value)
        case int() | float() if column.numeric:
            return _number(column, value)
        case str() if column.kind == "time":
            return shown(column, datetime.fromisoformat(value))
    return printable(str(value))


def printable(text: str) -> str:
    """The text on one line, without what would steer a terminal."""
    line = " ".join(text.split())
    return (
        line
        if line.isprintable()
        else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    )


def machine(value: object) -> Any:
    """The value as json and csv keep it: full precision, UTC in ISO 8601, None for what is missing or not a number."""
    match value:
        case datetime():
            return _utc(value).isoformat().replace("+00:00", "Z")
        case float() if not math.isfinite(value):
            return None
    return value


def clock(seconds: float) -> str:
    """A length of time, as 0.42 s, 42.0 s, 3:05 or 1:02:03."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _number(column: Column, value: float) -> str:
    sign = "+" if column.signed else ""
    match column.kind:
        case "integer":
            return f"{round(value):{sign}d}"
        case "percent":
            digits = 2 if column.digits is None else column.digits
            return f"{100 * value:{sign}z.{digits}f}"
        case "pvalue":
            return "<0.0001" if value < 0.0001 else f"{value:.4f}"
        case "duration":
            return clock(value)
    return f"{value:{sign}z.4g}" if column.digits is None else f"{value:{sign}z.{column.digits}f}"


def _utc(moment: datetime) -> datetime:
    # DuckDB hands out naive times that are UTC by construction.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
