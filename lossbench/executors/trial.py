"""How fast a group trains, seen by training it for some seconds; nothing is recorded."""

import time
from collections.abc import Callable

from lossbench.executors.work import Group, Settings

__all__ = ["pace"]

SECONDS = 1.0
"""How long a group trains."""

WARM_UP = 2
"""Batches, or blocks of them, before the clock starts."""


def pace(group: Group, settings: Settings, ready: Callable[[], None] = lambda: None) -> float:
    """Cell epochs per second of a group that trains in this process; `ready` is called before the clock starts."""
    # A worker imports this before it sets its signals, and torch takes seconds to load.
    from lossbench.experiment import rehearse

    began, taken, count = 0.0, 0.0, 0

    def stop() -> bool:
        nonlocal began, taken, count
        count += 1
        if count == WARM_UP:
            ready()
            began = time.perf_counter()
        taken = time.perf_counter() - began
        return count > WARM_UP and taken > SECONDS

    in_an_epoch = rehearse(
        group.cells,
        data_folder=settings.data_folder,
        device=settings.device,
        stop=stop,
        threads=settings.threads,
        share=settings.share,
    )
    return (count - WARM_UP) / in_an_epoch * len(group.cells) / taken
