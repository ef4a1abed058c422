"""Runs of every kind, told through real journals."""

import resource
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lossbench import processes
from lossbench.events import EpochDone, EpochMetrics, PredictionsKept, RunEnded, RunStarted, Status
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.spec import DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec, parse_loss

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_spec(preset: str = "toy", loss: str = "ce", seed: int = 0, epochs: int = 3) -> RunSpec:
    """A small resolved cell."""
    made = Preset(
        name=preset,
        data=DataSpec(name="digits"),
        model=ModelSpec(name="mlp", hidden=(8,)),
        epochs=epochs,
        batch_size=32,
        optimizer=OptimizerSpec(name="sgd", lr=0.1),
    )
    return RunSpec(preset=made, loss=parse_loss(loss), seed=seed, numbers_version=1)


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """A disk on which no file can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@dataclass
class Teller:
    """Writes what a training process would, at times of its own clock."""

    home: Home
    clock: datetime = START
    provenance: dict[str, Any] = field(
        default_factory=lambda: {
            **processes.identity(),
            "lossbench": "0.1",
            "git_commit": "c" * 40,
            "git_dirty": False,
            "torch": "2.15",
            "device": "cpu",
            "device_name": None,
        }
    )

    def at(self) -> str:
        self.clock += timedelta(seconds=1)
        return self.clock.isoformat(timespec="microseconds")

    def run(
        self,
        run_id: str,
        spec: RunSpec | None = None,
        *,
        values: Iterable[Mapping[str, float]] = ({"test/top1_acc": 0.5},),
        status: Status | None = "done",
        reason: str = "",
        from_epoch: int = 0,
        predictions: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Journal:
        """One process's share of a run, in a journal of its own."""
        spec = spec or a_spec()
        with Journal(self.home) as journal:
            journal.append(
                RunStarted(
                    run_id=run_id,
                    at=self.at(),
                    key=spec.key,
                    recipe=spec.recipe,
                    spec=spec.resolved(),
                    from_epoch=from_epoch,
                    provenance={**self.provenance, **(provenance or {})},
                )
            )
            epoch = from_epoch
            for epoch, record in enumerate(values, from_epoch + 1):
                journal.append(EpochDone(run_id=run_id, at=self.at(), metrics=EpochMetrics(epoch=epoch, values=record)))
            if predictions:
                columns = {"label": (0, 1, 2), "predicted": (0, 2, 2), "rank": (0, 1, 0)}
                shares = {"p_true": (0.5, 0.25, 1.0), "p_max": (0.5, 0.75, 1.0)}
                journal.append(
                    PredictionsKept(run_id=run_id, at=self.at(), epoch=epoch, split="test", **columns, **shares)
                )
            if status is not None:
                journal.append(RunEnded(run_id=run_id, at=self.at(), status=status, reason=reason))
        return journal


@pytest.fixture
def tell(home: Home) -> Teller:
    """Runs for the home of this test."""
    return Teller(home)
