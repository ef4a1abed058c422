"""The runs of this process as they stand, from the events they send."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

from lossbench.events import EpochDone, Event, RunEnded, RunStarted
from lossbench.live.values import METRIC, Live, Watched
from lossbench.measures import MEASURES

__all__ = ["Told"]


@dataclass(slots=True, kw_only=True)
class Told:
    """What has been heard of a plan of `planned` runs; runs that have ended are counted and forgotten."""

    planned: int
    _running: dict[str, Live] = field(default_factory=dict)
    _began: dict[str, datetime] = field(default_factory=dict)
    _ended: Counter[str] = field(default_factory=Counter)
    _best: dict[str, float] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Hear one event."""
        at = datetime.fromisoformat(event.at)
        match event:
            case RunStarted(run_id=run_id):
                self._began[run_id] = at
                self._running[run_id] = _begun(event, at)
            case EpochDone(run_id=run_id, metrics=metrics) if run_id in self._running:
                run = self._running[run_id]
                value = metrics.values.get(f"test/{run.measure.name}")
                self._running[run_id] = replace(
                    run,
                    epoch=metrics.epoch,
                    seconds=(at - self._began[run_id]).total_seconds(),
                    last_at=at,
                    values=run.values if value is None else (*run.values, value),
                    memory_mib=metrics.values.get("train/peak_mem_mib"),
                )
            case RunEnded(run_id=run_id, status=status) if run_id in self._running:
                run = self._running.pop(run_id)
                self._ended[status] += 1
                if status == "done" and run.values:
                    best = self._best.get(run.preset, run.values[-1])
                    self._best[run.preset] = max(best, run.values[-1], key=lambda value: run.measure.sign * value)

    def watched(self, *, at: datetime, usage: str = "") -> Watched:
        """Who runs now, who has ended how, and how many are to come."""
        # A copy first: the screen is drawn from another thread than the one that listens.
        running = list(self._running.values())
        runs = tuple(replace(run, best=self._best.get(run.preset)) for run in running)
        counts = Counter({"running": len(running), **self._ended})
        counts["to come"] = self.planned - counts.total()
        return Watched(at=at, counts=counts, runs=runs, usage=usage)


def _begun(event: RunStarted, at: datetime) -> Live:
    preset = event.spec["preset"]
    return Live(
        name=event.run_id,
        preset=preset["name"],
        loss=event.spec["loss"]["text"],
        seed=event.spec["seed"],
        status="running",
        epoch=event.from_epoch,
        epochs=preset["epochs"],
        since_epoch=event.from_epoch,
        seconds=0.0,
        last_at=at,
        device=event.provenance.get("device") or "",
        measure=MEASURES.get(preset["metric"]["name"], METRIC),
        values=(),
    )
