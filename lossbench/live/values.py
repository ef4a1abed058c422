"""What the live screen shows: runs as they stand, wherever that is known from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lossbench.measures import MEASURES, Measure

__all__ = ["METRIC", "ORDER", "Live", "Watched"]

ORDER = ("running", "lost", "failed", "diverged", "interrupted", "done")
"""States in the order in which they need attention."""

METRIC = MEASURES["top1_acc"]
"""For presets that are judged by nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One run as the screen shows it."""

    name: str
    preset: str
    loss: str
    seed: int
    status: str
    epoch: int
    epochs: int
    since_epoch: int = 0
    """Epochs that were finished before `seconds` began to count."""
    seconds: float
    last_at: datetime
    device: str
    measure: Measure
    values: tuple[float, ...]
    """The metric its preset is judged by, epoch by epoch."""
    best: float | None = None
    """The best value at which a finished run of the recipe has ended."""
    memory_mib: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the epochs so far; None before the first and for runs that do not run."""
        done = self.epoch - self.since_epoch
        if self.status != "running" or done <= 0:
            return None
        return self.seconds / done * (self.epochs - self.epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The bench at one moment: how many runs are in which state, and those worth a line, the first ones first."""

    at: datetime
    counts: Mapping[str, int]
    runs: tuple[Live, ...]
    unlisted: int = 0
    """Runs that would deserve a line, had there been room."""
    notes: tuple[str, ...] = ()
    usage: str = ""
    """How busy the machine is."""
