"""Runs while they train: what the screen of `watch`, `run` and `sweep` shows."""

from lossbench.live.screen import frame, sparkline
from lossbench.live.told import Told
from lossbench.live.values import Live, Watched

__all__ = ["Live", "Told", "Watched", "frame", "sparkline"]
