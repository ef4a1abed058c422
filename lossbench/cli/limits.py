"""What this process may have open, asked before anything fails halfway for want of it."""

import contextlib
import resource
from pathlib import Path

from lossbench.errors import LossbenchError

__all__ = ["check_open_files"]

NEEDED = 12
"""Files to open beyond those there are at the start. A run and a sweep with two workers were seen to take seven."""


def check_open_files() -> None:
    """
    Raises:
        LossbenchError: too few files may be open at once; even finding a module or listing a folder opens some.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    there = most
    with contextlib.suppress(OSError):
        # The listing is open while it is made.
        there = len(list(Path("/dev/fd").iterdir())) - 1
    if most != resource.RLIM_INFINITY and most - there < NEEDED:
        raise LossbenchError(
            f"only {most} files may be open here at once, and {there} are; {NEEDED} more are needed: see `ulimit -n`"
        )
