import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lossbench.events import EpochDone, EpochMetrics, PredictionsKept, RunEnded, RunStarted, new_run_id, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.spec import NUMBERS_VERSION, DataSpec, MetricRule, ModelSpec, OptimizerSpec, Preset, RunSpec, parse_loss

PRESET = Preset(
    name="toy",
    data=DataSpec(name="digits"),
    model=ModelSpec(name="mlp"),
    epochs=3,
    batch_size=32,
    optimizer=OptimizerSpec(name="sgd", lr=0.1),
)


class Bench:
    """Writes runs with chosen numbers into the journals of a home."""

    def __init__(self, home: Home, journal: Journal) -> None:
        self.home = home
        self._journal = journal

    def run(self, loss, seed, last, *, status="done", preset="toy", epochs=None, provenance=None, rows=None, **changes):
        """One run whose top-1 accuracy on test ends at `last`, or is `epochs`, one {name: value} each."""
        rule = MetricRule(**changes.pop("metric", {}))
        chosen = dataclasses.replace(PRESET, name=preset, metric=rule, **changes)
        spec = RunSpec(preset=chosen, loss=parse_loss(loss), seed=seed, numbers_version=NUMBERS_VERSION)
        run_id = new_run_id()
        self._journal.append(
            RunStarted(
                run_id=run_id, at=now(), key=spec.key, recipe=spec.recipe, spec=spec.resolved(), from_epoch=0,
                provenance={"lossbench": "0.1", "torch": "2.15", "device": "cpu"} | (provenance or {}),
            )
        )  # fmt: skip
        told = epochs or [{"test/top1_acc": last - 0.01 * left} for left in reversed(range(chosen.epochs))]
        for number, values in enumerate(told if status == "done" else told[:1], start=1):
            self._journal.append(EpochDone(run_id=run_id, at=now(), metrics=EpochMetrics(epoch=number, values=values)))
        if rows is not None:
            label, predicted = rows
            self._journal.append(
                PredictionsKept(
                    run_id=run_id, at=now(), epoch=chosen.epochs, split="test", label=label, predicted=predicted,
                    rank=[int(a != b) for a, b in zip(label, predicted, strict=True)],
                    p_true=[0.5] * len(label), p_max=[0.5] * len(label),
                )
            )  # fmt: skip
        if status != "running":
            self._journal.append(RunEnded(run_id=run_id, at=now(), status=status))
        return run_id

    def arm(self, loss, values, **details):
        """Seeds 0, 1, ... of one loss."""
        return [self.run(loss, seed, value, **details) for seed, value in enumerate(values)]


@pytest.fixture
def bench(home: Home) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(home, stack.enter_context(Journal(home)))
