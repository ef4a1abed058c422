"""Published tables as sweeps: which presets, losses and seeds they are made of, and what was reported."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lossbench import presets
from lossbench.errors import UsageError, unknown
from lossbench.spec import Suite

__all__ = ["available", "load"]


def available() -> dict[str, Path]:
    """Every suite and its file."""
    return {path.stem: path for path in sorted(presets.folder().glob("suites/*.toml"))}


def load(name: str) -> Suite:
    """The suite of that name, its patterns replaced by the presets they match.

    Raises:
        UsageError: no such suite, or one whose file is wrong.
    """
    known = available()
    if name not in known:
        raise unknown("suite", name, known)
    try:
        fields = tomllib.loads(known[name].read_text(encoding="utf-8"))
        suite = TypeAdapter(Suite).validate_python({**fields, "name": name, "presets": _matched(fields["presets"])})
    except (OSError, tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise UsageError(f"suite {known[name]} is damaged: {' '.join(str(error).split())}") from error
    return suite


def _matched(patterns: list[str]) -> list[str]:
    names = presets.available()
    found = []
    for pattern in patterns:
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if not matching:
            raise unknown("preset", pattern, names)
        found += matching
    return list(dict.fromkeys(found))
