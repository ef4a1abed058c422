"""A bench of made-up runs: two presets, three losses, five seeds, one divergence, a grid, predictions."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lossbench import processes
from lossbench.events import EpochDone, EpochMetrics, PredictionsKept, RunEnded, RunStarted
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.spec import DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec, parse_loss
from lossbench.store import Store

PRESET = Preset(
    name="digits-mlp",
    data=DataSpec(name="digits"),
    model=ModelSpec(name="mlp", hidden=(8,)),
    epochs=20,
    batch_size=32,
    optimizer=OptimizerSpec(name="sgd", lr=0.1),
)
PRESETS = (
    PRESET,
    replace(PRESET, name="wine-linear", data=DataSpec(name="wine")),
    replace(PRESET, name="grid", optimizer=OptimizerSpec(name="sgd", lr=0.1)),
    replace(PRESET, name="grid", optimizer=OptimizerSpec(name="sgd", lr=0.1, momentum=0.9)),
    replace(PRESET, name="grid", optimizer=OptimizerSpec(name="sgd", lr=0.01, momentum=0.9)),
)
LOSSES = {"ce": 0.0, "adaptive": 0.012, "ce-el:focus=0-0.5": -0.015}
SEEDS = 5


def write_bench(home: Home) -> None:
    """Journals as training processes would have left them, at fixed times."""
    clock = datetime(2026, 1, 1, tzinfo=UTC)
    with Journal(home) as journal:
        for place, preset in enumerate(PRESETS):
            for seed in range(SEEDS if preset.name != "grid" else 2):
                for loss in LOSSES:
                    clock += timedelta(minutes=1)
                    spec = RunSpec(preset=preset, loss=parse_loss(loss), seed=seed, numbers_version=1)
                    _write(journal, f"{preset.name[:4]}{place}{list(LOSSES).index(loss)}{seed}", spec, clock)


def _write(journal: Journal, run_id: str, spec: RunSpec, clock: datetime) -> None:
    loss, preset = str(spec.loss), spec.preset
    random = np.random.default_rng([spec.seed, PRESETS.index(preset)])
    top = 0.95 + LOSSES[loss] - 0.03 * (preset.name != "digits-mlp") + 0.02 * preset.optimizer.momentum
    top += 0.004 * random.standard_normal() + 0.001 * np.random.default_rng([spec.seed, len(loss)]).standard_normal()
    diverges = preset.name == "wine-linear" and loss == "ce-el:focus=0-0.5" and spec.seed == 3
    common = {"run_id": run_id, "at": clock.isoformat()}
    provenance = {**processes.identity(), "device": "cpu", "lossbench": "0.1", "threads": 1}
    journal.append(
        RunStarted(
            **common, key=spec.key, recipe=spec.recipe, spec=spec.resolved(), from_epoch=0, provenance=provenance
        )
    )
    for epoch in range(1, 6 if diverges else preset.epochs + 1):
        accuracy = top - 0.8 * np.exp(-epoch / 4) + 0.002 * random.standard_normal()
        values = {
            "train/lr": preset.optimizer.lr * (0.1 if epoch > 15 else 1.0),
            "train/seconds": 0.2 + 0.01 * random.random(),
            "train/samples_per_second": 6000.0 + 300 * random.random(),
            "train/data_stall": 0.02,
            "train/peak_mem_mib": 310.0,
            "train/top1_acc": accuracy + 0.01,
            "test/top1_acc": accuracy,
            "test/nll": 2.3 * np.exp(-epoch / 3) + 0.1,
        }
        if loss == "ce":
            values["test/brier"] = 1 - accuracy
        if loss.startswith("ce-el"):
            values["loss/focus"] = 0.1 * ((epoch - 1) * 6 // preset.epochs)
        journal.append(
            EpochDone(**common, metrics=EpochMetrics(epoch=epoch, values={k: float(v) for k, v in values.items()}))
        )
    if diverges:
        journal.append(RunEnded(**common, status="diverged", reason="train/objective became nan in epoch 6"))
        return
    p_true = random.beta(6.0, 1.0 + 3.0 * (loss == "adaptive"), 300)
    right = p_true > 0.4
    columns = {"label": [3] * 300, "predicted": np.where(right, 3, 4).tolist(), "rank": np.where(right, 0, 1).tolist()}
    p_max = np.where(right, p_true, 1 - p_true).tolist()
    journal.append(
        PredictionsKept(**common, epoch=preset.epochs, split="test", p_true=p_true.tolist(), p_max=p_max, **columns)
    )
    journal.append(RunEnded(**common, status="done"))


@pytest.fixture(scope="session")
def bench_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of the made-up bench; read it, do not write to it."""
    home = Home(tmp_path_factory.mktemp("bench") / ".lossbench")
    home.create()
    write_bench(home)
    return home


@pytest.fixture(scope="session")
def bench(bench_home: Home) -> Iterator[Store]:
    """The open store of the made-up bench."""
    with Store.open(bench_home) as store:
        yield store
