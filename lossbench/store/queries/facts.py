"""What is known of a run as named facts, in the parts people look at."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lossbench.store.queries.runs import RunDetail

__all__ = ["PARTS", "Part", "facts", "flat"]

Part = Literal["config", "metrics", "env", "log"]
PARTS: tuple[Part, ...] = ("config", "metrics", "env", "log")


def facts(detail: RunDetail, part: Part) -> list[tuple[str, Any]]:
    """One part of a run: what was asked, the last metrics, where it ran, or what happened when."""
    match part:
        case "config":
            return list(flat(detail.spec))
        case "metrics":
            return [(f"{split}/{name}", value) for split, name, _, value in detail.metrics]
        case "env":
            return list(flat(detail.provenance))
        case "log":
            return [(f"{time.isoformat()}Z", f"{kind} {text}".strip()) for time, kind, text in detail.events]


def flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested fields by their dotted names; empty ones are left out."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif value not in (None, [], ""):
            yield prefix + name, value
