"""How fast is the store? Taking journals in, opening, and the questions `ls`, `compare` and `plot` ask.

python benchmarks/store.py [RUNS] [EPOCHS] [METRICS]

The values are random in all their 52 bits, which no training's are: the size is the worst there is.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from lossbench import processes
from lossbench.events import EpochDone, EpochMetrics, RunEnded, RunStarted, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.measures import MEASURES
from lossbench.presets import load
from lossbench.spec import RunSpec, parse_loss
from lossbench.store import Selection, Store, queries

LOSSES = ("ce", "adaptive", "expectation", "focal", "gce")
TRAINING = ("objective", "gnorm_all", "gnorm_last", "wnorm_all", "lr", "seconds", "samples_per_second", "peak_mem_mib")


def fill(home: Home, runs: int, epochs: int, metrics: int) -> float:
    """Write the journals of that many finished runs with so many of the package's metrics; seconds per epoch."""
    spent = 0.0
    random = np.random.default_rng(0)
    judged = [name for name in MEASURES if name not in TRAINING]
    names = [f"train/{name}" for name in TRAINING]
    names += [f"{split}/{name}" for split in ("val", "test") for name in judged]
    names = names[:metrics]
    preset = load("digits-mlp")
    for index in range(runs):
        seed, place = divmod(index, len(LOSSES))
        spec = RunSpec(preset=preset, loss=parse_loss(LOSSES[place]), seed=seed, numbers_version=1)
        run_id = f"run{index:07d}"
        curves = random.random((epochs, len(names)))
        with Journal(home) as journal:
            journal.append(
                RunStarted(
                    run_id=run_id,
                    at=now(),
                    key=spec.key,
                    recipe=spec.recipe,
                    spec=spec.resolved(),
                    from_epoch=0,
                    provenance={**processes.identity(), "device": "cpu"},
                )
            )
            for epoch in range(epochs):
                record = EpochMetrics(epoch=epoch + 1, values=dict(zip(names, curves[epoch].tolist(), strict=True)))
                event = EpochDone(run_id=run_id, at=now(), metrics=record)
                began = time.perf_counter()
                journal.append(event)
                spent += time.perf_counter() - began
            journal.append(RunEnded(run_id=run_id, at=now(), status="done"))
    return spent / runs / epochs


def timed(label: str, action: Callable[[], Any], repeats: int = 5) -> None:
    """Print the best of several times."""
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - began)
    print(f"{label:42s} {1000 * best:9.1f} ms")


def main(runs: int = 1000, epochs: int = 200, metrics: int = 20) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / ".lossbench")
        home.create()
        per_epoch = fill(home, runs, epochs, metrics)
        size = sum(path.stat().st_size for path in home.journals.iterdir())
        print(f"duckdb {duckdb.__version__}, {runs} runs x {epochs} epochs x {metrics} metrics")
        print(f"{'size of the journals':42s} {size / 2**20:9.1f} MiB")
        print(f"{'write an epoch, mean':42s} {1000 * per_epoch:9.3f} ms")

        def opened() -> None:
            with Store.open(home):
                pass

        timed("take in every journal", opened, repeats=1)
        print(f"{'size of the store':42s} {home.store.stat().st_size / 2**20:9.1f} MiB")
        timed("open and close", opened)
        everything = Selection()
        with Store.open(home) as store:
            rows = store.sql("SELECT count(*) FROM metric").rows[0][0]
            print(f"{'metric values':42s} {rows:9d}")
            print(f"{'size of the store per value':42s} {home.store.stat().st_size / rows:9.2f} bytes")
            timed("runs", lambda: queries.runs(store))
            timed("cells", lambda: queries.cells(store))
            timed("finals, last epoch", lambda: queries.finals(store, everything, "top1_acc"))
            timed("finals, mean of 11 epochs", lambda: queries.finals(store, everything, "top1_acc", at="mean:1-11"))
            timed("finals, best on validation", lambda: queries.finals(store, everything, "top1_acc", at="best-val"))
            timed("curves of one metric", lambda: queries.curves(store, everything, "nll"))
            timed("names of the metrics", lambda: queries.metrics(store))
            timed("sql: epoch view, one metric", lambda: store.sql("SELECT count(*) FROM epoch WHERE name = 'nll'"))
            timed("sql: final view, whole", lambda: store.sql("SELECT count(*) FROM final"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
