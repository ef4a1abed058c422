"""What a person sees on stderr while data sets are fetched and prepared: a bar in a terminal, lines in a pipe."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.cli.terminal import say, screen
from lossbench.errors import LossbenchError

if TYPE_CHECKING:
    from lossbench.data.progress import Listener
    from lossbench.spec import DataSpec

__all__ = ["prepare", "shown"]

PAUSE_SECONDS = 5.0
"""In a pipe, a preparation that goes on prints a line at most this often."""


def prepare(specs: "Sequence[DataSpec]", folder: Path, *, plain: bool) -> None:
    """Fetch and prepare, once and before any worker needs them, the data sets that are not prepared yet.

    Raises:
        LossbenchError: the only data set cannot be prepared; of several, each fails its own runs later.
    """
    from lossbench import data

    missing = [spec for spec in dict.fromkeys(specs) if not data.inventory.prepared(spec, folder)]
    with shown(plain=plain):
        for spec in missing:
            try:
                data.load(spec, folder)
            except LossbenchError:
                if len({each.name for each in specs}) == 1:
                    raise


@contextmanager
def shown(*, plain: bool = False) -> Iterator[None]:
    """Within the block, preparations say how far they have come."""
    from lossbench.data import progress

    if plain or not screen(sys.stderr).interactive:
        with progress.listening(_lines()):
            yield
        return
    with _bars() as listener, progress.listening(listener):
        yield


def _lines() -> "Listener":
    spoke: dict[str, float] = {}

    def listen(what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done == total or now - spoke.setdefault(what, now) >= PAUSE_SECONDS:
            spoke[what] = now
            say(f"{what}: {done:,}" + (f" of {total:,}" if total else ""))

    return listen


@contextmanager
def _bars() -> Iterator["Listener"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def listen(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield listen
