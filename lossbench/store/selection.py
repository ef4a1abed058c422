"""Which runs a command is about, as one value and the SQL condition it stands for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["STATUSES", "Selection"]

STATUSES = ("running", "done", "diverged", "failed", "interrupted", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Runs that satisfy every given condition; an empty condition is satisfied by all."""

    presets: tuple[str, ...] = ()
    """Names or patterns such as `uci-*`."""
    losses: tuple[str, ...] = ()
    """Canonical loss texts or patterns such as `focal*`."""
    seeds: tuple[int, ...] = ()
    statuses: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    """Whole run ids; `queries.resolve` makes them from what people type."""
    tags: tuple[str, ...] = ()
    """Any of these tags."""
    since: datetime | None = None
    before: datetime | None = None
    """Runs that began at or after one moment, and before the other."""
    where: str | None = None
    """An SQL expression over the `run` view."""
    removed: bool = False
    """Take the removed runs instead of the others."""

    def condition(self) -> tuple[str, dict[str, Any]]:
        """The condition over the `run` view and the values of its parameters."""
        parts = ["removed = $removed"]
        values: dict[str, Any] = {"removed": self.removed}
        wanted: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
            ("presets", "list_bool_or([preset GLOB each FOR each IN $presets])", self.presets),
            ("losses", "list_bool_or([loss GLOB each FOR each IN $losses])", self.losses),
            ("seeds", "list_contains($seeds, seed)", self.seeds),
            ("statuses", "list_contains($statuses, status)", self.statuses),
            ("runs", "run_id IN (SELECT unnest($runs))", self.runs),
            ("tags", "list_has_any(tags, $tags)", self.tags),
        )
        for name, text, given in wanted:
            if given:
                parts.append(text)
                values[name] = list(given)
        for name, sign, moment in (("since", ">=", self.since), ("before", "<", self.before)):
            if moment is not None:
                parts.append(f"started_at {sign} ${name}")
                values[name] = moment.astimezone(UTC).replace(tzinfo=None)
        if self.where is not None:
            parts.append(f"({self.where}\n)")
        return " AND ".join(parts), values
