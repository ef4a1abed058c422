"""What can go wrong, as one tree, and the exit code each branch ends with.

LossbenchError                1
├─ UsageError                 2   a name, knob, field or value that does not exist or is out of range
├─ NothingFound               3   the selection matches no run
├─ NotComparable              5   recipes differ, seeds do not pair
├─ StoreError                 6   damaged, foreign, newer, not writable
│  └─ StoreBusy              75   another process holds it; the journals are safe
└─ DataError                  6   missing, wrong checksum, wrong shape
"""

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Every status a lossbench command can end with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOTHING_FOUND = 3
    DIVERGED = 4
    NOT_COMPARABLE = 5
    DAMAGED = 6
    REFUTED = 10
    UNDECIDED = 11
    TRY_AGAIN = 75
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "a run, some cells of a sweep, or a check failed",
    ExitCode.USAGE: "unknown name, bad value, wrong option",
    ExitCode.NOTHING_FOUND: "the selection matches no run",
    ExitCode.DIVERGED: "the loss became NaN or infinite; the finite epochs are kept",
    ExitCode.NOT_COMPARABLE: "the runs differ in more than loss and seed, or no seeds pair",
    ExitCode.DAMAGED: "store or data missing, damaged, or written by a newer lossbench",
    ExitCode.REFUTED: "`compare --check`: the claim is refuted",
    ExitCode.UNDECIDED: "`compare --check`: undecided, more seeds needed",
    ExitCode.TRY_AGAIN: "another process holds the store; try again",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C; the same command resumes",
    ExitCode.TERMINATED: "stopped by SIGTERM; the same command resumes",
}


class LossbenchError(Exception):
    """A failure the user can act on: one sentence, one exit code."""

    exit_code = ExitCode.FAILED


class UsageError(LossbenchError):
    """The command asks for something that does not exist or cannot be."""

    exit_code = ExitCode.USAGE


class NothingFound(LossbenchError):
    """The selection matches no run."""

    exit_code = ExitCode.NOTHING_FOUND


class NotComparable(LossbenchError):
    """The selected runs differ in more than loss and seed."""

    exit_code = ExitCode.NOT_COMPARABLE


class StoreError(LossbenchError):
    """The store or a journal cannot be read or written."""

    exit_code = ExitCode.DAMAGED


class StoreBusy(StoreError):
    """Another process holds the store."""

    exit_code = ExitCode.TRY_AGAIN


class DataError(LossbenchError):
    """A data file is missing, damaged or of another shape than promised."""

    exit_code = ExitCode.DAMAGED


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {kind} {name!r}; {hint}")
