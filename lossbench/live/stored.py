"""The runs of a store as they stand, other processes' included."""

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from lossbench.home import Home
from lossbench.live.values import METRIC, ORDER, Live, Watched
from lossbench.measures import MEASURES, Measure
from lossbench.store import Selection, Store, queries

__all__ = ["look", "observe"]

_WAIT_SECONDS = 0.2


def look(home: Home, selection: Selection, *, at: datetime, most: int, usage: str = "") -> Watched:
    """Open the store, read, and let go of it at once, so that watching never keeps a trainer from it."""
    with Store.open(home, wait=_WAIT_SECONDS) as store:
        return replace(observe(store, selection, at=at, most=most), usage=usage)


def observe(store: Store, selection: Selection, *, at: datetime, most: int) -> Watched:
    """The running runs first, then those that went wrong, then the latest done; `most` of them."""
    rows = queries.runs(store, selection, newest_first=True)
    shown = sorted(rows, key=lambda row: ORDER.index(row.status))[:most]
    trends: dict[str, tuple[float, ...]] = {}
    best: dict[str, float] = {}
    for name in {row.metric or METRIC.name for row in shown}:
        mine = [row for row in shown if (row.metric or METRIC.name) == name]
        chosen = Selection(runs=tuple(row.run_id for row in mine))
        trends |= {each.run_id: tuple(each.values.tolist()) for each in queries.curves(store, chosen, name)}
        best |= _best(store, tuple({row.preset for row in mine}), MEASURES.get(name, METRIC))
    chosen = Selection(runs=tuple(row.run_id for row in shown))
    memory = {each.run_id: each.value for each in queries.finals(store, chosen, "peak_mem_mib", "train")}
    runs = tuple(
        Live(
            name=row.name or row.run_id,
            preset=row.preset,
            loss=row.loss,
            seed=row.seed,
            status=row.status,
            epoch=row.epoch,
            epochs=row.epochs,
            seconds=row.seconds,
            last_at=row.last_at.replace(tzinfo=UTC),
            device=row.device or "",
            measure=MEASURES.get(row.metric or "", METRIC),
            values=trends.get(row.run_id, ()),
            best=best.get(row.recipe),
            memory_mib=memory.get(row.run_id),
        )
        for row in shown
    )
    counts = Counter(row.status for row in rows)
    return Watched(at=at, counts=counts, runs=runs, unlisted=len(rows) - len(runs), notes=tuple(store.notes))


def _best(store: Store, presets: tuple[str, ...], known: Measure) -> dict[str, float]:
    """By recipe, the best final value of its finished runs."""
    selection = Selection(presets=presets, statuses=("done",))
    recipe = {row.run_id: row.recipe for row in queries.runs(store, selection)}
    found: dict[str, float] = {}
    for each in queries.finals(store, selection, known.name):
        if each.value is not None and math.isfinite(each.value):
            name = recipe[each.run_id]
            found[name] = max(found.get(name, each.value), each.value, key=lambda value: known.sign * value)
    return found
