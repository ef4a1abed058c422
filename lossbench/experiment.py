"""Executing runs: the one path from specs to recorded events that every executor uses.

An event is in the journal before anybody sees it, and an epoch is in the journal before its checkpoint is written: a
process that dies in between repeats that epoch and records the same numbers again. The opposite order could leave a
hole. No more than that epoch is ever repeated after a `kill -9`: the next one begins when its checkpoint is saved.
"""

import contextlib
import dataclasses
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import torch

from lossbench import checkpoint, cohort, compiling, cores, data, devices, objective, retention
from lossbench.checkpoint import Checkpoint
from lossbench.cohort.cohort import Cohort
from lossbench.cores import Sharing
from lossbench.data import Dataset
from lossbench.errors import LossbenchError, StoreError
from lossbench.events import (
    EpochDone,
    EpochMetrics,
    Event,
    PredictionsKept,
    RunEnded,
    RunStarted,
    Status,
    new_run_id,
    now,
)
from lossbench.followers import Work
from lossbench.home import Home, Keep
from lossbench.journal import Journal
from lossbench.locks import claimed
from lossbench.provenance import provenance
from lossbench.ranks import World
from lossbench.saving import Saver
from lossbench.spec import RunSpec
from lossbench.stopwatch import Stopwatch
from lossbench.trainer import Trainer

__all__ = ["execute", "rehearse"]

REPAYS_COMPILING = 1e15
"""Operations of a whole training from which `auto` compiles: five hours of ResNet-20 in fp32 on two EPYC cores, where
compiling took 41 s (7 s from torch's cache) and gained nothing that showed (benchmarks/cifar.txt). Where it gains some
per cent, hours repay it, and a shorter training risks little by going without."""

_ALL_THREADS = torch.get_num_threads()

Stop = Callable[[], bool]

Join = Callable[[], AbstractContextManager[World]]
"""Comes together with the other ranks of a training program."""


class Engine(Protocol):
    """What trains: one network or a cohort of them, its members numbered from 0 in the order of their specs."""

    epoch: int
    diverged: dict[int, str]

    def state(self) -> dict[str, Any]: ...
    def load(self, state: dict[str, Any]) -> None: ...
    def epochs(self, stop: Stop) -> Iterator[dict[int, EpochMetrics]]: ...
    def predictions(self) -> dict[int, dict[str, list[Any]]]: ...


def execute(
    cells: Sequence[RunSpec],
    home: Home,
    *,
    data_folder: Path,
    device: str = "auto",
    stop: Stop = lambda: False,
    run_ids: Sequence[str | None] | None = None,
    threads: int | None = None,
    share: int | None = None,
    keep: Keep = "none",
    owner: Mapping[str, Any] | None = None,
    watch: Stopwatch | None = None,
    join: Join = lambda: nullcontext(World()),
) -> Iterator[Event]:
    """Train one network, or the cells of one cohort together, and say what happens.

    A cell whose entry in `run_ids` names an earlier attempt goes on where that one's checkpoint stands, under the
    same run id and with the same number of threads, so that its numbers are those of an undisturbed run. Where neither
    that nor `threads` says how many there are, a network that gains by several takes its `share`. `owner` is
    recorded as the process that these runs live and die with, where that is not this one. Once it is clear that there
    is something to train, this process goes to `join` those that train it together, of which it is the first.

    Raises:
        LossbenchError: the cells cannot be begun at all (no such device, data, model option, another spec than the
            checkpoint's); whatever goes wrong later ends the runs as `failed` and is not raised.
    """
    home.create()
    place = devices.pick(device)
    dataset = data.load(cells[0].preset.data, data_folder)
    devices.check_precision(cells[0].preset.precision, place)
    if cells[0].preset.compile == "on":
        compiling.refuse(place)
    for spec in cells:
        objective.check(spec.loss, epochs=spec.preset.epochs, classes=dataset.classes)
    ids = [run_id or new_run_id() for run_id in run_ids or [None] * len(cells)]
    with claimed(home, ids):
        runs = [
            _Run(spec, run_id, checkpoint.load(home, run_id, spec)) for spec, run_id in zip(cells, ids, strict=True)
        ]
        with join() as world, Journal(home) as journal:
            # Only members at the same epoch can be trained together; they never depend on who is beside them.
            together = groupby(sorted(runs, key=_Run.standing), key=_Run.standing)
            for number, (_, members) in enumerate(together):
                name = f"{journal.attempt}-{number}"
                execution = _Execution(list(members), home, journal, name, keep, owner or {}, watch or Stopwatch())
                torch.set_num_threads(execution.runs[0].standing()[1] or threads or _threads_of(cells[0], share))
                with _sharing_cores(place, threads) as neighbours:
                    yield from execution.events(dataset, place, neighbours, stop, world, data_folder)


def rehearse(
    cells: Sequence[RunSpec],
    *,
    data_folder: Path,
    device: str = "auto",
    stop: Stop,
    threads: int | None = None,
    share: int | None = None,
) -> int:
    """Train cells again and again until `stop()`, and record nothing: to see how fast they train.

    Returns:
        How often `stop` is asked in one epoch: counted if one came to its end, else the number of its batches.
    """
    place = devices.pick(device)
    dataset = data.load(cells[0].preset.data, data_folder)
    torch.set_num_threads(threads or _threads_of(cells[0], share))
    stopped, asked = False, 0
    in_an_epoch = -(-len(dataset.train) // cells[0].preset.batch_size)

    def ended() -> bool:
        nonlocal stopped, asked
        neighbours.look()
        asked += 1
        stopped = stopped or stop()
        return stopped

    with _sharing_cores(place, threads) as neighbours:
        while not stopped:
            asked = 0
            for _ in _engine(list(cells), dataset, place, None, World()).epochs(ended):
                in_an_epoch, asked = asked, 0
    return in_an_epoch


@dataclass(frozen=True, slots=True)
class _Run:
    """One cell, its run id, and the checkpoint it goes on from."""

    spec: RunSpec
    run_id: str
    resumed: Checkpoint | None

    def standing(self) -> tuple[int, int]:
        """Epochs finished, and the threads they were computed with (0 where that is still open)."""
        return (self.resumed.epoch, self.resumed.threads) if self.resumed else (0, 0)


class _Execution:
    """One training program from its first event to its last."""

    def __init__(
        self,
        runs: list[_Run],
        home: Home,
        journal: Journal,
        name: str,
        keep: Keep,
        owner: Mapping[str, Any],
        watch: Stopwatch,
    ) -> None:
        self.runs = runs
        self.alive: dict[int, _Run] = {}
        self.home = home
        self.journal = journal
        self.name = name
        self.keep = keep
        self.owner = owner
        self.saver = Saver(home, journal, name, keep)
        self.watch = watch

    def events(
        self,
        dataset: Dataset,
        device: torch.device,
        neighbours: Sharing,
        stop: Stop,
        world: World,
        data_folder: Path,
    ) -> Iterator[Event]:
        from_epoch, _ = self.runs[0].standing()
        engine: Engine | None = None
        broken: Exception | None = None
        try:
            states = [run.resumed.state for run in self.runs if run.resumed]
            state = {"epoch": from_epoch, "members": states} if from_epoch else None
            if world.size > 1:
                spec = self.runs[0].spec
                world.told(
                    Work(
                        spec=spec,
                        data_folder=data_folder,
                        compile=_compiles(spec),
                        threads=torch.get_num_threads(),
                        largest=world.largest,
                        state=state,
                    )
                )
            engine = _engine([run.spec for run in self.runs], dataset, device, self.watch, world)
            if state:
                engine.load(state)
            world.agree()
        except LossbenchError:
            raise
        except Exception as error:
            broken = error
        try:
            made = {"train_rows": len(dataset.train), **_label_noise(dataset), **_arithmetic(engine)}
            asked = {"world_size": world.size, "batch_per_device": world.largest, "keep_checkpoints": self.keep}
            circumstances = {**provenance(device), **made, **asked, **self.owner}
            yield from self._begin(from_epoch, circumstances)
            if broken is not None:
                raise broken
            assert engine is not None
            yield from self._train(engine, neighbours, stop)
        except Exception as error:
            if not self.alive:
                raise
            with contextlib.suppress(Exception):
                self.saver.flush()
            yield from self._end("failed", dict.fromkeys(self.alive, self._explain(error, device)))
        except BaseException:
            # The consumer went away or Ctrl-C came twice: what is recorded stays, and nothing more is waited for.
            list(self._end("interrupted", dict.fromkeys(self.alive, "stopped at once")))
            raise
        finally:
            self.saver.close()

    def _begin(self, from_epoch: int, circumstances: dict[str, Any]) -> Iterator[Event]:
        for index, run in enumerate(self.runs):
            event = RunStarted(
                run_id=run.run_id,
                at=now(),
                key=run.spec.key,
                recipe=run.spec.recipe,
                spec=run.spec.resolved(),
                from_epoch=from_epoch,
                provenance=circumstances,
            )
            self.journal.append(event, sync=run is self.runs[-1])
            self.alive[index] = run
            yield event

    def _train(self, engine: Engine, neighbours: Sharing, stop: Stop) -> Iterator[Event]:
        epochs = self.runs[0].spec.preset.epochs

        def asked() -> bool:
            neighbours.look()
            return stop()

        for records in engine.epochs(asked):
            neighbours.rest()
            self.watch.epochs += 1
            with self.watch.phase("store"):
                at = now()
                told = [EpochDone(run_id=self.runs[i].run_id, at=at, metrics=record) for i, record in records.items()]
                self.journal.extend(told)
            yield from told
            yield from self._end_diverged(engine)
            if engine.epoch < epochs:
                due_here = [i for i, run in self.alive.items() if engine.epoch in run.spec.preset.keep_predictions]
                yield from self._keep_predictions(engine, due_here)
            if self.alive and (engine.epoch < epochs or self.keep != "none"):
                with self.watch.phase("store"):
                    self._save(engine.state())
        yield from self._end_diverged(engine)
        if not self.alive:
            return
        if engine.epoch < epochs or self.keep != "none":
            self.saver.flush()
        if engine.epoch < epochs:
            yield from self._end("interrupted", dict.fromkeys(self.alive, ""))
            return
        yield from self._keep_predictions(engine, self.alive)
        finished = [run.run_id for run in self.alive.values()]
        yield from self._end("done", dict.fromkeys(self.alive, ""))
        if self.keep == "none":
            self.saver.drop()
            retention.discard(self.home, finished)

    def _keep_predictions(self, engine: Engine, members: Collection[int]) -> Iterator[Event]:
        if not members:
            return
        with self.watch.phase("evaluation"):
            predictions = engine.predictions()
        for index, columns in predictions.items():
            if index in members:
                run_id = self.runs[index].run_id
                kept = PredictionsKept(run_id=run_id, at=now(), epoch=engine.epoch, split="test", **columns)
                yield self.journal.append(kept)

    def _save(self, state: dict[str, Any]) -> None:
        """Save the state of every run still alive."""
        members = {run.run_id: run.spec for run in self.alive.values()}
        states = {run.run_id: state["members"][index] for index, run in self.alive.items()}
        self.saver.put(members, states, epoch=state["epoch"], threads=torch.get_num_threads())

    def _end_diverged(self, engine: Engine) -> Iterator[Event]:
        broken = {index: reason for index, reason in engine.diverged.items() if index in self.alive}
        if broken:
            yield from self._end("diverged", broken)
            self.saver.drop()
            retention.discard(self.home, [self.runs[index].run_id for index in broken])

    def _end(self, status: Status, reasons: Mapping[int, str]) -> Iterator[Event]:
        """End the members of those numbers."""
        for index, reason in reasons.items():
            event = RunEnded(run_id=self.alive.pop(index).run_id, at=now(), status=status, reason=reason)
            try:
                self.journal.append(event, sync=not self.alive)
            except StoreError:
                # On a full disk the spare checkpoint makes room for the last word. Should that fail too, the reason
                # still reaches whoever watches, and the run will be found lost.
                retention.make_room(self.home, self.name)
                with contextlib.suppress(StoreError):
                    self.journal.append(event, sync=True)
            yield event

    def _explain(self, error: Exception, device: torch.device) -> str:
        """Why the runs failed, in one line."""
        if isinstance(error, LossbenchError):
            return str(error)
        if devices.out_of_memory(error):
            batch_size = self.runs[0].spec.preset.batch_size
            return f"out of memory at batch size {batch_size}: {devices.describe_memory(device)}"
        log = self.journal.path.with_suffix(".log")
        with contextlib.suppress(OSError), log.open("a") as file:
            file.write("".join(traceback.format_exception(error)))
        first = next(iter(str(error).splitlines()), "")
        return f"{type(error).__name__}: {first} (traceback in {log})"


def _sharing_cores(device: torch.device, threads: int | None) -> AbstractContextManager[Sharing]:
    """A place among the processes that compute on these cores; whoever names a number of threads keeps to himself."""
    if device.type == "cuda" or threads is not None:
        return nullcontext(Sharing())
    return cores.sharing(torch.get_num_threads())


def _engine(
    specs: list[RunSpec], dataset: Dataset, device: torch.device, watch: Stopwatch | None, world: World
) -> Engine:
    if cohort.accepts(specs[0]):
        return Cohort(specs, dataset, device=device, watch=watch)
    (spec,) = specs
    return Trainer(spec, dataset, device=device, compile=_compiles(spec), watch=watch, world=world)


def _compiles(spec: RunSpec) -> bool:
    preset = spec.preset
    if preset.compile == "auto":
        # What counts operations brings a compiler along, which a run that does not ask for one does without.
        from lossbench import costs

        return costs.estimate(preset).flops * preset.epochs >= REPAYS_COMPILING
    return preset.compile == "on"


def _arithmetic(engine: Engine | None) -> dict[str, Any]:
    return engine.arithmetic if isinstance(engine, Trainer) else {}


def _label_noise(dataset: Dataset) -> dict[str, Any]:
    """What was done to the training labels, for the record; nothing where nothing was."""
    return {} if dataset.noise is None else {"label_noise": dataclasses.asdict(dataset.noise)}


def _threads_of(spec: RunSpec, share: int | None) -> int:
    """One for the networks of cohorts, whose batches are too small to share out; else this process's share."""
    return 1 if cohort.accepts(spec) else share or _ALL_THREADS
