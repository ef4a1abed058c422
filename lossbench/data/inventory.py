"""Which data sets lie in a data folder, how large they are, and whether they are what was published."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from lossbench.data.arrays import RECEIPT
from lossbench.data.registry import catalogue, get
from lossbench.data.types import Source
from lossbench.errors import DataError, unknown
from lossbench.spec import DataSpec

__all__ = ["Held", "State", "held", "matching", "prepared", "verify"]

State = Literal["built in", "present", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One data set as a data folder has it."""

    source: Source
    state: State
    path: Path | None
    size: int | None
    """Bytes of everything that belongs to it; for sets of so many files that counting them takes minutes, those of the
    published archives."""


def matching(patterns: Iterable[str]) -> tuple[Source, ...]:
    """The data sets that any of the patterns names, all without one.

    Raises:
        UsageError: a pattern names none.
    """
    patterns = tuple(patterns)
    sources = catalogue()
    for pattern in patterns:
        if not any(fnmatchcase(source.name, pattern) for source in sources):
            raise unknown("data set", pattern, [source.name for source in sources])
    return tuple(
        source for source in sources if not patterns or any(fnmatchcase(source.name, each) for each in patterns)
    )


def held(source: Source, folder: Path) -> Held:
    """Look for a data set without reading it."""
    if not source.layout:
        return Held(source=source, state="built in", path=None, size=None)
    path = source.found(folder)
    if path is None:
        return Held(source=source, state="missing", path=None, size=None)
    if source.streamed:
        return Held(source=source, state="present", path=path, size=source.file_bytes)
    if source.files:
        found = {each for pattern in source.files for each in folder.glob(pattern)}
    else:
        found = {path} if path.parent == folder else set(path.parent.rglob("*"))
    size = sum(each.stat().st_size for each in found if each.is_file())
    return Held(source=source, state="present", path=path, size=size)


def prepared(spec: DataSpec, folder: Path) -> bool:
    """Whether a data set can be loaded at once, as far as can be told without reading it."""
    source = get(spec.name)
    return not source.kept or any(folder.glob(source.kept))


def verify(source: Source, folder: Path) -> str:
    """Read a data set whole and compare it with what was written down when it was made from its verified archive.

    Returns:
        In words, how far it could be checked.
    Raises:
        DataError: it is missing, damaged or changed since.
    """
    if source.layout and source.found(folder) is None:
        raise DataError(f"data set {source.name} is not in {folder}: neither {' nor '.join(source.layout)}")
    rows = source.read(folder)
    count = len(rows.train) + len(rows.test or ())
    receipt = folder / source.name / RECEIPT
    if not receipt.is_file():
        whole = "" if count == source.rows else f" of {source.rows}"
        return f"{count}{whole} rows of the right form; no checksum is known"
    for line in receipt.read_text().splitlines():
        digest, name = line.split()
        with (receipt.parent / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise DataError(f"{receipt.parent / name} has changed since it was made; remove it and fetch it again")
    return f"{count} rows, checksums match"
