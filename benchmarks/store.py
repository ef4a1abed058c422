"""How large is the store, and how fast? Bytes per metric value beside other ways to keep them, and what `ls`, `compare`
and `plot` ask.

    python benchmarks/store.py sizes
    python benchmarks/store.py times [RUNS] [EPOCHS] [METRICS]

`sizes` measures stores of real trainings (a sweep of digits, two of a linear network) and of made-up runs whose values
are random in all their 52 bits, which no training's are: taken in at once, and run by run as when they come one after
another. The same metric rows are also written as SQLite, as Parquet and as DuckDB does by default. `times` takes
made-up runs in and asks the questions.
"""

import shutil
import sqlite3
import subprocess
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
from lossbench.store import Selection, Store, queries, upkeep

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


def swept(folder: Path, *what: str) -> Home:
    """A home with a real sweep in it."""
    home = Home(folder)
    command = [sys.executable, "-m", "lossbench", "sweep", *what, "--plain", "--home", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return home


def generated(folder: Path, runs: int, epochs: int, *, one_by_one: bool = False) -> Home:
    """A home with so many runs of 20 metrics, taken in at once, or as commands do that end after each."""
    told, home = Home(folder / "told"), Home(folder / "home")
    for each in (told, home):
        each.create()
    fill(told, runs, epochs, 20)
    for path in sorted(told.journals.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        path.rename(home.journals / path.name)
        if one_by_one:
            with Store.open(home):
                pass
            upkeep.try_pack(home)
    with Store.open(home):
        pass
    return home


def elsewhere(home: Home, folder: Path) -> dict[str, int]:
    """Bytes of the metric rows of a store as others keep them: no index, no key, the rows in our order."""
    paths = {name: folder / name for name in ("duckdb", "sqlite", "parquet")}
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{home.store}' AS ours (READ_ONLY)")
        rows = "SELECT run_id, epoch, split, name, value FROM ours.metric"
        connection.execute(f"COPY ({rows}) TO '{paths['parquet']}' (FORMAT parquet, COMPRESSION zstd)")
        connection.execute(f"ATTACH '{paths['duckdb']}' AS plain")
        connection.execute("COPY FROM DATABASE ours TO plain")
        values = connection.execute(rows).fetchall()
    with sqlite3.connect(paths["sqlite"]) as plain:
        plain.execute("CREATE TABLE metric (run_id TEXT, epoch INTEGER, split TEXT, name TEXT, value REAL)")
        plain.executemany("INSERT INTO metric VALUES (?, ?, ?, ?, ?)", values)
    plain.close()
    return {name: path.stat().st_size for name, path in paths.items()}


def sizes() -> None:
    """Print bytes per metric value of several stores, everything that is in the file counted."""
    losses = ("ce", "adaptive", "expectation", "mae", "gce", "poly1")
    linear = ("wine-linear", *(part for loss in losses for part in ("--loss", loss)))
    cases: dict[str, Callable[[Path], Home]] = {
        "(a) digits-mlp, 3 losses x 5 seeds": lambda folder: swept(
            folder, "digits-mlp", "--loss", "ce", "--loss", "adaptive", "--loss", "focal", "--seeds", "5"
        ),
        "(b) wine-linear, 6 losses x 6 seeds": lambda folder: swept(folder, *linear, "--seeds", "6"),
        "(b) wine-linear, 6 losses x 36 seeds": lambda folder: swept(folder, *linear, "--seeds", "36"),
        "(c) 200 runs x 100 epochs, one by one": lambda folder: generated(folder, 200, 100, one_by_one=True),
        "(c) the same at once": lambda folder: generated(folder, 200, 100),
        "(d) 1,000 runs x 100 epochs at once": lambda folder: generated(folder, 1000, 100),
    }
    print(f"duckdb {duckdb.__version__}; bytes per metric value, the whole file\n")
    print(f"{'':40}{'values':>10}{'store MiB':>11}{'store':>8}{'journals':>10}{'DuckDB':>8}{'SQLite':>8}{'Parquet':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for number, (title, make) in enumerate(cases.items()):
            place = Path(folder) / str(number)
            home = make(place / "runs")
            told = upkeep.info(home)
            values, size = int(told["metric values"]), int(told["store bytes"])
            others = elsewhere(home, place)
            each = [size, int(told["journal bytes"]), *(others[name] for name in ("duckdb", "sqlite", "parquet"))]
            columns = "".join(
                f"{count / values:{width}.1f}" for count, width in zip(each, (8, 10, 8, 8, 9), strict=True)
            )
            print(f"{title:40}{values:10,}{size / 2**20:11.2f}{columns}", flush=True)
            shutil.rmtree(place)
        least = generated(Path(folder) / "least", 1, 1).store.stat().st_size
        print(f"\na store of one run of one epoch: {least / 2**20:.2f} MiB")
    print(
        "DuckDB: all tables in its own format and blocks, freshly written; SQLite and Parquet (zstd): metric rows alone"
    )


def times(runs: int = 1000, epochs: int = 200, metrics: int = 20) -> None:
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
    match sys.argv[1:]:
        case ["sizes"]:
            sizes()
        case ["times", *numbers]:
            times(*map(int, numbers))
        case _:
            raise SystemExit(__doc__)
