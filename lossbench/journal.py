"""The crash-safe way into the store: one append-only file per writing process, one JSON line per event.

A line is written by a single `write` on a descriptor opened for appending, so a killed process leaves at most one
torn line at the end, which readers pass over.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossbench.errors import StoreError
from lossbench.events import Event, new_run_id, to_json
from lossbench.home import Home

__all__ = ["Journal", "Line", "journals", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One complete journal line: the event's dictionary and where the next line begins."""

    attempt: str
    seq: int
    body: dict[str, Any]
    end: int


class Journal:
    """The open journal of this process."""

    def __init__(self, home: Home) -> None:
        self.attempt = new_run_id()
        self.path = home.journals / f"{self.attempt}.jsonl"
        self._seq = 0
        self._sound = True
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise StoreError(f"cannot create journal {self.path}: {error.strerror}") from error

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, event: Event, *, sync: bool = False) -> Event:
        """Write one event and give it back.

        Raises:
            StoreError: the line could not be written whole, for instance because the disk is full.
        """
        line = json.dumps({**to_json(event), "attempt": self.attempt, "seq": self._seq}, separators=(",", ":"))
        # After a torn write the next line must not join the torn one.
        data = (("" if self._sound else "\n") + line + "\n").encode()
        try:
            self._sound = os.write(self._file, data) == len(data)
            if sync:
                os.fsync(self._file)
        except OSError as error:
            self._sound = False
            raise StoreError(f"cannot write journal {self.path}: {error.strerror}") from error
        if not self._sound:
            raise StoreError(f"cannot write journal {self.path}: the disk took only part of a line")
        self._seq += 1
        return event


def journals(home: Home) -> list[Path]:
    """Every journal of a home, in the order of their names."""
    return sorted(home.journals.glob("*.jsonl"))


def read(path: Path, offset: int = 0) -> Iterator[Line]:
    """The complete lines of a journal from a byte offset on; a torn line is passed over."""
    with path.open("rb") as file:
        file.seek(offset)
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            offset += len(raw)
            try:
                body = json.loads(raw)
                yield Line(attempt=body["attempt"], seq=body["seq"], body=body, end=offset)
            except (ValueError, KeyError, TypeError):
                continue
