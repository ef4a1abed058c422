"""The crash-safe way into the store: one append-only file per writing process, one JSON line per event.

Lines are written by a single `write` on a descriptor opened for appending, so a killed process leaves at most one
torn line at the end, which readers pass over. An event is identified for ever by its journal and its number there,
`(attempt, seq)`.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossbench.errors import StoreError
from lossbench.events import Event, new_run_id, to_json
from lossbench.home import Home

__all__ = ["Copy", "Damaged", "Journal", "Line", "copied", "drop", "journals", "read", "scan", "sizes", "writing"]

_NAME = re.compile(r"[0-9a-z]{10}\.jsonl")
_CHUNK = 1 << 24

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One complete journal line: the event's dictionary and where the next line begins."""

    attempt: str
    seq: int
    body: dict[str, Any]
    end: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """A complete line that is no event of this journal."""

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
            raise StoreError(f"cannot create a journal in {home.journals}: {error.strerror}") from error
        # Held for life, so that nobody takes the file of a living writer away; some file systems have no such lock.
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, event: Event, *, sync: bool = False) -> Event:
        """Write one event and give it back.

        Raises:
            StoreError: the line could not be written whole, for instance because the disk is full.
        """
        self.extend([event], sync=sync)
        return event

    def extend(self, events: Sequence[Event], *, sync: bool = False) -> None:
        """Write several events at once.

        Raises:
            StoreError: the lines could not all be written whole.
        """
        lines = [
            _encode({**to_json(event), "attempt": self.attempt, "seq": seq}) + "\n"
            for seq, event in enumerate(events, self._seq)
        ]
        # After a torn write the next line must not join the torn one.
        data = (("" if self._sound else "\n") + "".join(lines)).encode()
        # A number is never used twice: a line that fails to be acknowledged may be whole in the file all the same.
        self._seq += len(lines)
        self._sound = False
        try:
            # A disk that is nearly full takes a part, and says only to the rest that it is full.
            while data:
                data = data[os.write(self._file, data) :]
            if sync:
                os.fsync(self._file)
        except OSError as error:
            raise StoreError(f"cannot write journal {self.path}: {error.strerror}") from error
        self._sound = True

    def sync(self) -> None:
        """Wait until everything appended is on the disk.

        Raises:
            StoreError: it cannot get there.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            raise StoreError(f"cannot write journal {self.path}: {error.strerror}") from error


class Copy:
    """The copy of a journal that another machine writes, for as long as this process keeps it up."""

    def __init__(self, home: Home, attempt: str) -> None:
        self.path = home.journals / f"{attempt}.jsonl"
        try:
            _sign_of_copy(self.path).touch()
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise StoreError(f"cannot create a journal in {home.journals}: {error.strerror}") from error
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def append(self, offset: int, lines: bytes) -> None:
        """Write what stands there in the original.

        Raises:
            StoreError: it could not be written whole, or would leave a hole.
        """
        try:
            whole = os.fstat(self._file).st_size >= offset and os.pwrite(self._file, lines, offset) == len(lines)
            os.fsync(self._file)
        except OSError as error:
            raise StoreError(f"cannot write journal {self.path}: {error.strerror}") from error
        if not whole:
            raise StoreError(f"cannot write journal {self.path}: the disk took only part of it")

    def close(self) -> None:
        os.close(self._file)


def journals(home: Home) -> list[Path]:
    """Every journal of a home, in the order of their names."""
    return [home.journals / f"{attempt}.jsonl" for attempt in sorted(sizes(home))]


def sizes(home: Home, but: Collection[str] = frozenset()) -> dict[str, int]:
    """Bytes in every journal of a home, by attempt, but for some that are not asked; other files in the folder, and
    links, are no journals."""
    try:
        return {
            attempt: entry.stat().st_size
            for entry in os.scandir(home.journals)
            if (attempt := entry.name.removesuffix(".jsonl")) not in but
            and _NAME.fullmatch(entry.name)
            and entry.is_file(follow_symlinks=False)
        }
    except OSError:
        return {}


def copied(path: Path) -> bool:
    """Whether this journal is the copy of another machine's, to which more may be added after its writer has let go."""
    return _sign_of_copy(path).exists()


def drop(path: Path) -> None:
    """Delete a journal."""
    path.unlink()
    _sign_of_copy(path).unlink(missing_ok=True)


def writing(path: Path) -> bool:
    """Whether a living process may still append to this journal; True where the file system cannot tell."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def read(path: Path, offset: int = 0) -> Iterator[Line]:
    """The events of a journal from a byte offset on; torn and damaged lines are passed over.

    Raises:
        StoreError: the file cannot be read.
    """
    return (line for line in scan(path, offset) if isinstance(line, Line))


def scan(path: Path, offset: int = 0) -> Iterator[Line | Damaged]:
    """Every complete line of a journal from a byte offset on; a torn last line is not complete.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        # A pipe or a link somebody put there must neither block nor lead elsewhere.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise StoreError(f"cannot read journal {path}: {error.strerror}") from error
    try:
        rest = b""
        while chunk := os.pread(file, _CHUNK, offset + len(rest)):
            *raws, rest = (rest + chunk).split(b"\n")
            for raw in raws:
                offset += len(raw) + 1
                yield _line(raw, path.stem, offset)
    except OSError as error:
        raise StoreError(f"cannot read journal {path}: {error.strerror}") from error
    finally:
        os.close(file)


def _sign_of_copy(path: Path) -> Path:
    return path.with_suffix(".copy")


def _line(raw: bytes, attempt: str, end: int) -> Line | Damaged:
    try:
        body = _decode(raw.decode())
    except (ValueError, RecursionError):
        return Damaged(end)
    if not isinstance(body, dict) or body.get("attempt") != attempt or type(body.get("seq")) is not int:
        return Damaged(end)
    return Line(attempt=attempt, seq=body["seq"], body=body, end=end)


def _refuse(word: str) -> float:
    raise ValueError(f"JSON has no {word}")


_decode = json.JSONDecoder(parse_constant=_refuse).decode
