"""A busy machine in miniature: writers that are killed, readers that poll, a stranger who sits on the file.

Run as `python -m tests.store.chaos ROLE HOME ...` it is one of them; `storm` starts them all and tells what came of it.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from lossbench.errors import StoreError
from lossbench.events import EpochDone, EpochMetrics, RunStarted, new_run_id, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.processes import identity
from lossbench.store import Selection, Store, queries, try_ingest
from tests.store.conftest import a_spec

METRICS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What a storm did, and what was left afterwards; times in milliseconds."""

    kills: int
    runs: int
    acknowledged: int
    lost: int
    stored: int
    rows: int
    torn_or_double: int
    unacknowledged: int
    reads: int
    failed_reads: list[str]
    held_reads: int
    holders_named: int
    write_p50: float
    write_p99: float
    write_max: float
    read_p50: float
    read_p99: float


def write(home: Home, folder: Path, cadence: float) -> None:
    """Train for ever: an epoch now and then, acknowledged in a file of its own once `append` has returned."""
    run_id, spec = new_run_id(), a_spec()
    acknowledged = os.open(folder / f"{run_id}.acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Journal(home) as journal:
        journal.append(
            RunStarted(
                run_id=run_id,
                at=now(),
                key=spec.key,
                recipe=spec.recipe,
                spec=spec.resolved(),
                from_epoch=0,
                provenance=identity(),
            )
        )
        epoch = 0
        while True:
            epoch += 1
            record = EpochMetrics(epoch=epoch, values={f"test/m{number}": epoch + number for number in range(METRICS)})
            began = time.perf_counter()
            journal.append(EpochDone(run_id=run_id, at=now(), metrics=record))
            os.write(acknowledged, f"{epoch} {1000 * (time.perf_counter() - began):.4f}\n".encode())
            time.sleep(cadence * random.uniform(0.5, 1.5))


def flush(home: Home) -> None:
    """Take in the journals whenever nobody else is at the store, as a sweep does."""
    while True:
        try_ingest(home)
        time.sleep(0.1)


def poll(home: Home, folder: Path) -> None:
    """Read everything again and again; write down how long it took, or what went wrong."""
    log = os.open(folder / f"{os.getpid()}.reads", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        began, wrong, held, named = time.perf_counter(), "", 0, []
        try:
            with Store.open(home, wait=0.5) as store:
                shown = {row.run_id: row.epoch for row in queries.runs(store)}
                stored = {final.run_id: final.epoch for final in queries.finals(store, Selection(), "m0")}
                held = sum("is held by process" in note for note in store.notes)
                named = [int(pid) for note in store.notes for pid in re.findall(r"held by process (\d+)", note)]
                if any(stored[run_id] != epoch for run_id, epoch in shown.items() if epoch):
                    wrong = "runs and values disagree"
        except (StoreError, duckdb.Error) as error:
            wrong = repr(error)
        took = 1000 * (time.perf_counter() - began)
        os.write(log, (json.dumps({"took": took, "wrong": wrong, "held": held, "named": named}) + "\n").encode())
        time.sleep(0.1)


def sit(home: Home, folder: Path, least: float, most: float) -> None:
    """Hold the file open for so many seconds with no regard for anybody, again and again."""
    while True:
        try:
            kept = duckdb.connect(str(home.store), read_only=random.random() < 0.3)
        except duckdb.Error:
            time.sleep(0.02)
            continue
        (folder / "sitting").touch()
        time.sleep(random.uniform(least, most))
        kept.close()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def storm(
    home: Home,
    folder: Path,
    *,
    kills: int,
    seconds: float,
    writers: int = 8,
    cadence: float = 0.05,
    hold: tuple[float, float] = (0.2, 0.8),
) -> Damage:
    """Kill that many processes at random moments of that many seconds, then read what is left.

    The stranger has the file before anybody else, and holds it for between so many and so many seconds each time.
    """
    chance = random.Random(7)
    try_ingest(home)

    def start(role: str) -> subprocess.Popen[bytes]:
        more = {"write": [str(cadence)], "sit": [str(seconds) for seconds in hold]}.get(role, [])
        arguments = [] if role == "flush" else [str(folder), *more]
        return subprocess.Popen([sys.executable, "-m", "tests.store.chaos", role, str(home.root), *arguments])

    stranger = start("sit")
    processes = [("sit", stranger)]
    try:
        _wait_for(lambda: (folder / "sitting").exists())
        processes += [(role, start(role)) for role in ["write"] * writers + ["flush", "flush", "poll"]]
        _wait_for_everybody(folder, writers)
        for _ in range(kills):
            time.sleep(chance.expovariate(kills / seconds))
            index = chance.choice([place for place, (role, _) in enumerate(processes) if role in ("write", "flush")])
            role, process = processes[index]
            process.kill()
            process.wait()
            processes[index] = (role, start(role))
        time.sleep(1 if kills else seconds)
    finally:
        for _, process in processes:
            process.send_signal(signal.SIGKILL)
        for _, process in processes:
            process.wait()
    return _damage(home, folder, kills, stranger.pid)


def _wait_for_everybody(folder: Path, writers: int) -> None:
    def up() -> bool:
        told = [path for path in folder.glob("*.acknowledged") if path.stat().st_size]
        return len(told) >= writers and any(path.stat().st_size for path in folder.glob("*.reads"))

    _wait_for(up)


def _wait_for(come: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not come():
        if time.monotonic() > deadline:
            raise TimeoutError("writers, reader or stranger did not come up")
        time.sleep(0.05)


def _damage(home: Home, folder: Path, kills: int, stranger: int) -> Damage:
    acknowledged: dict[str, list[int]] = {}
    waits: list[float] = []
    for path in folder.glob("*.acknowledged"):
        # A killed writer may leave half an acknowledgement, which acknowledges nothing.
        whole = path.read_bytes().rpartition(b"\n")[0].decode().splitlines()
        acknowledged[path.stem] = [int(line.split()[0]) for line in whole]
        waits += [float(line.split()[1]) for line in whole]
    reads = [json.loads(line) for path in folder.glob("*.reads") for line in path.read_text().splitlines()]
    with Store.open(home, wait=30) as store:
        rows = store.sql("SELECT run_id, epoch, count(*), count(DISTINCT name) FROM metric GROUP BY ALL").rows
        ((doubles,),) = store.sql(
            "SELECT count(*) FROM (SELECT attempt, seq FROM event GROUP BY ALL HAVING count(*) > 1)"
        ).rows
        wrong = store.sql("SELECT count(*) FROM metric WHERE value <> epoch + substr(name, 2)::INTEGER").rows[0][0]
        runs = len(queries.runs(store))
    stored = {(run_id, epoch) for run_id, epoch, _, _ in rows}
    told = {(run_id, epoch) for run_id, epochs in acknowledged.items() for epoch in epochs}
    took = [read["took"] for read in reads]
    return Damage(
        kills=kills,
        runs=runs,
        acknowledged=len(told),
        lost=len(told - stored),
        stored=len(stored),
        rows=sum(row[2] for row in rows),
        torn_or_double=doubles + wrong + sum(row[2:] != (METRICS, METRICS) for row in rows),
        unacknowledged=len(stored - told),
        reads=len(reads),
        failed_reads=[read["wrong"] for read in reads if read["wrong"]],
        held_reads=sum(read["held"] > 0 for read in reads),
        holders_named=sum(stranger in read["named"] for read in reads),
        write_p50=float(np.percentile(waits, 50)),
        write_p99=float(np.percentile(waits, 99)),
        write_max=max(waits),
        read_p50=float(np.percentile(took, 50)),
        read_p99=float(np.percentile(took, 99)),
    )


if __name__ == "__main__":
    role, root, *rest = sys.argv[1:]
    match role:
        case "write":
            write(Home(Path(root)), Path(rest[0]), float(rest[1]))
        case "flush":
            flush(Home(Path(root)))
        case "poll":
            poll(Home(Path(root)), Path(rest[0]))
        case "sit":
            sit(Home(Path(root)), Path(rest[0]), float(rest[1]), float(rest[2]))
