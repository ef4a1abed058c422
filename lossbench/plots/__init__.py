"""Every kind of chart by name: a function of the store and a request that gives a figure."""

from collections.abc import Callable
from importlib import import_module

from lossbench.charts import Figure
from lossbench.errors import unknown
from lossbench.plots.request import Band, Request, refuse_unused
from lossbench.store import Store

__all__ = ["KINDS", "Band", "Request", "check", "figure"]

KINDS = {
    "curves": "training.draw_curves",
    "diff": "training.draw_differences",
    "knobs": "training.draw_knobs",
    "throughput": "training.draw_throughput",
    "box": "finals.draw_box",
    "strip": "finals.draw_strip",
    "sweep": "sweeps.draw_sweep",
    "forest": "forest.draw_forest",
    "cd": "ranking.draw_critical_difference",
    "profile": "ranking.draw_profile",
    "ranks": "ranking.draw_ranks",
    "calibration": "predicted.draw_calibration",
    "confidence": "predicted.draw_confidence",
}
"""Where each kind that shows stored runs is drawn, so that a chart imports what it needs and no more.

`gradient`, which shows losses instead of runs, is `lossbench.plots.gradient`.
"""


def check(kind: str, request: Request) -> None:
    """Look at what is asked before anything is read.

    Raises:
        UsageError: there is no such kind, or an option does nothing for it.
    """
    if kind not in (*KINDS, "gradient"):
        raise unknown("kind of chart", kind, [*KINDS, "gradient"])
    refuse_unused(kind, request)


def figure(kind: str, store: Store, request: Request) -> Figure:
    """The chart of that kind of `KINDS`.

    Raises:
        NothingFound: nothing stored can be drawn that way.
    """
    module, _, name = KINDS[kind].partition(".")
    draw: Callable[[Store, Request], Figure] = getattr(import_module(f"lossbench.plots.{module}"), name)
    return draw(store, request)
