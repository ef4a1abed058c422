"""Every kind of chart by name: a function of the store and a request that gives a figure."""

from collections.abc import Callable
from importlib import import_module

from lossbench.charts import Figure
from lossbench.errors import unknown
from lossbench.plots.request import Band, Request
from lossbench.store import Store

__all__ = ["KINDS", "Band", "Request", "figure"]

KINDS = {
    "curves": "training.draw_curves",
    "diff": "training.draw_differences",
    "knobs": "training.draw_knobs",
    "throughput": "training.draw_throughput",
    "box": "finals.draw_box",
    "strip": "finals.draw_strip",
    "sweep": "sweeps.draw_sweep",
    "forest": "effects.draw_forest",
    "cd": "effects.draw_critical_difference",
    "profile": "effects.draw_profile",
    "ranks": "effects.draw_ranks",
    "calibration": "predicted.draw_calibration",
    "confidence": "predicted.draw_confidence",
}
"""Where each kind that shows stored runs is drawn, so that a chart imports what it needs and no more.

`gradient`, which shows losses instead of runs, is `lossbench.plots.gradient`.
"""


def figure(kind: str, store: Store, request: Request) -> Figure:
    """The chart of that kind.

    Raises:
        UsageError: there is no such kind.
        NothingFound: nothing stored can be drawn that way.
    """
    if kind not in KINDS:
        raise unknown("kind of chart", kind, [*KINDS, "gradient"])
    module, _, name = KINDS[kind].partition(".")
    draw: Callable[[Store, Request], Figure] = getattr(import_module(f"lossbench.plots.{module}"), name)
    return draw(store, request)
