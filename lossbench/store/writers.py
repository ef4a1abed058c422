"""The process that wrote of a run, as statements select it and as it is judged."""

from collections.abc import Sequence
from typing import Any

from lossbench import processes

__all__ = ["WRITER", "alive"]

_FIELDS = ("host", "boot_id", "pid", "pid_started")

WRITER = """provenance->>'$.host', provenance->>'$.boot_id',
    TRY_CAST(provenance->>'$.pid' AS BIGINT), TRY_CAST(provenance->>'$.pid_started' AS BIGINT)"""
"""The columns of a statement over starts that `alive` takes."""


def alive(writer: Sequence[Any]) -> bool | None:
    """Whether that process still runs; None when it belongs to another host."""
    return processes.alive(dict(zip(_FIELDS, writer, strict=True)))
