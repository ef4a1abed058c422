"""Groups as the work of actors in a Ray cluster, with what they need of processors and GPUs.

The driver alone writes its home: the nodes' journals and checkpoints come to it in a stream, without a shared disk. A
group whose node is lost begins again elsewhere, from the last checkpoint that arrived.
"""

import contextlib
import hashlib
import io
import logging
import platform
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    RayError,
    RayTaskError,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lossbench import checkpoint, journal, processes, retention
from lossbench.claims import claimed
from lossbench.errors import LossbenchError, UsageError
from lossbench.events import Event, RunEnded, RunStarted, Status, from_json, now
from lossbench.executors import nodes
from lossbench.executors.nodes import Answer, Forgot, News, Saved, Told
from lossbench.executors.work import Group, Settings, Stop, could_not_begin
from lossbench.journal import Journal

__all__ = ["Ray"]

POLL_SECONDS = 0.1
"""How long an interrupt may go unnoticed while no node has anything to say."""

PATIENCE_SECONDS = 30.0
"""How long a cluster may take to answer, and a worker to clear away."""

TRIES = 3
"""How often a group is begun on nodes that are lost before it has come any further."""


@dataclass(eq=False, slots=True)
class _Task:
    """A group and what has become of it."""

    group: Group
    begun: dict[str, str] = field(default_factory=dict)
    """Run ids by the keys of the cells that have started."""
    ended: set[str] = field(default_factory=set)
    """The keys of those that have ended too."""
    tries: int = 0

    @property
    def live(self) -> list[str]:
        return [run_id for key, run_id in self.begun.items() if key not in self.ended]

    def rest(self) -> Group:
        """The cells that have not ended, to go on under the ids they have."""
        pairs = [
            (cell, self.begun.get(cell.key, run_id))
            for cell, run_id in zip(self.group.cells, self.group.run_ids, strict=True)
            if cell.key not in self.ended
        ]
        return Group(cells=tuple(cell for cell, _ in pairs), run_ids=tuple(run_id for _, run_id in pairs))


class Ray:
    """Actors of a Ray cluster, as many as it has room for."""

    def __init__(
        self, settings: Settings, *, address: str | None = None, data_dir: Path | None = None, cells_per_gpu: int = 1
    ) -> None:
        """`address` is that of a cluster, or `auto` for the one this machine belongs to; None starts one here."""
        if settings.keep == "all" and settings.home.checkpoint_folder is None:
            raise UsageError("--keep-checkpoints all on a cluster needs a shared folder for them: --checkpoint-dir DIR")
        self._settings = settings
        self._address = address
        self._data_dir = data_dir
        self._per_gpu = cells_per_gpu
        home = f"{platform.node()}:{settings.home.root}"
        self._name = hashlib.sha256(home.encode()).hexdigest()[:12]

    @cached_property
    def workers(self) -> int:
        """How many cells the cluster has room for at once."""
        _connect(self._address)
        there = _alive()
        wanted = self._needs(any(node["Resources"].get("GPU") for node in there))
        room = sum(
            int(min(node["Resources"].get(name, 0.0) / amount for name, amount in wanted.items() if amount))
            for node in there
        )
        if not room:
            has = "; ".join(
                f"{node['NodeManagerHostname']} has {node['Resources'].get('CPU', 0):g} CPUs and "
                f"{node['Resources'].get('GPU', 0):g} GPUs"
                for node in there
            )
            _leave()
            raise UsageError(f"no node has the {wanted['CPU']:g} CPUs and {wanted['GPU']:g} GPUs of one cell: {has}")
        self._wanted = wanted
        return room

    def run(self, groups: Sequence[Group], stop: Stop) -> Iterator[Event]:
        """Yield the events of every group.

        Raises:
            LossbenchError: nodes that are not fit for it, or after the last event, when groups could not begin.
        """
        if not groups:
            return
        room = self.workers
        home = self._settings.home
        errors: list[Exception] = []
        waiting = deque(_Task(group) for group in groups)
        idle: list[Any] = []
        busy: dict[Any, tuple[Any, _Task]] = {}
        stream: Any
        asked = False
        known = [run_id for group in groups for run_id in group.run_ids if run_id]
        try:
            with redirect_stdout(_WithoutRay(sys.stdout)), claimed(home, known), _Mirror(self._settings) as mirror:
                self._visit(mirror)
                while waiting or busy:
                    if stop() and not asked:
                        asked = True
                        waiting.clear()
                        for seat, _ in busy.values():
                            seat.ask_to_stop.remote()
                    while waiting and len(busy) < room:
                        task = waiting.popleft()
                        seat = idle.pop() if idle else self._hire()
                        busy[self._begin(seat, task)] = (seat, task)
                    for stream in ray.wait([*busy], timeout=POLL_SECONDS)[0]:
                        seat, task = busy[stream]
                        try:
                            news: Any = ray.get(next(stream))
                            yield from self._hear(news, mirror, task, errors)
                        except StopIteration:
                            del busy[stream]
                            idle.append(seat)
                        except RayTaskError as error:
                            del busy[stream]
                            idle.append(seat)
                            yield from self._end(mirror, task, "failed", f"{type(error.cause).__name__}: {error.cause}")
                        except RayError as error:
                            del busy[stream]
                            yield from self._lost(mirror, task, error, waiting, asked, errors)
                    # A seat at rest holds the processors that one hired for a lost node's cells may be waiting for.
                    if not waiting and busy:
                        _stand_up(idle)
        finally:
            self._dismiss(idle, [task for _, task in busy.values()])
        could_not_begin(errors)

    def _needs(self, has_gpus: bool) -> dict[str, float]:
        """What one cell takes of a node."""
        gpu = self._settings.device.startswith("cuda") or (self._settings.device == "auto" and has_gpus)
        return {"CPU": float(self._settings.threads or 1), "GPU": 1 / self._per_gpu if gpu else 0.0}

    def _visit(self, mirror: "_Mirror") -> None:
        """Refuse nodes that differ, and take home what earlier drivers did not hear."""
        known = journal.sizes(self._settings.home)
        there = [node["NodeID"] for node in _alive()]
        pinned = [NodeAffinitySchedulingStrategy(each, soft=False) for each in there]
        task = ray.remote(nodes.visit)
        asked = time.time()
        pending = [task.options(num_cpus=0, scheduling_strategy=each).remote(self._name, known) for each in pinned]
        answers: list[Answer] = []
        left: list[Told] = []
        while pending:
            ready, pending = ray.wait(pending, timeout=max(0.0, asked + 4 * PATIENCE_SECONDS - time.time()))
            heard = time.time()
            if not ready:
                raise LossbenchError(f"{len(pending)} of {len(there)} nodes of the cluster do not answer")
            try:
                node, told = ray.get(ready[0])
            except RayTaskError as error:
                raise UsageError(f"a node of the cluster cannot run lossbench: {_first_line(error.cause)}") from None
            except (TaskUnschedulableError, NodeDiedError, WorkerCrashedError):
                # Gone since it was last heard of; the cluster says so a few seconds late.
                continue
            except RayError as error:
                raise LossbenchError(f"a node of the cluster does not answer: {_first_line(error)}") from None
            answers.append(Answer(node=node, asked=asked, heard=heard))
            left += told
        if not answers:
            raise LossbenchError("no node of the cluster is left")
        nodes.refuse_unlike(answers, nodes.look())
        for each in left:
            mirror.take(each)

    def _hire(self) -> Any:
        threads = self._settings.threads or 1
        settings = replace(self._settings, threads=threads)
        seat = ray.remote(nodes.Seat).options(
            num_cpus=self._wanted["CPU"], num_gpus=self._wanted["GPU"], max_concurrency=2, max_restarts=0
        )
        return seat.remote(self._name, settings, self._data_dir, processes.identity())

    def _begin(self, seat: Any, task: _Task) -> Any:
        group = task.rest()
        home = self._settings.home
        files: dict[str, Saved] = {}
        for run_id in group.run_ids if home.checkpoint_folder is None else ():
            if run_id and (found := checkpoint.packed(home, run_id)):
                before = files[found[0]].run_ids if found[0] in files else ()
                files[found[0]] = Saved(name=found[0], content=found[1], run_ids=(*before, run_id))
        return seat.train.options(num_returns="streaming").remote(group, list(files.values()), nodes.look())

    def _hear(self, news: News, mirror: "_Mirror", task: _Task, errors: list[Exception]) -> Iterator[Event]:
        match news:
            case Told():
                for event in mirror.take(news):
                    match event:
                        case RunStarted():
                            task.begun[event.key] = event.run_id
                        case RunEnded():
                            task.ended |= {key for key, run_id in task.begun.items() if run_id == event.run_id}
                    yield event
            case Saved():
                checkpoint.place(self._settings.home, news.name, news.content, news.run_ids)
                task.tries = 0
            case Forgot():
                retention.discard(self._settings.home, news.run_ids)
            case LossbenchError():
                errors.append(news)

    def _lost(
        self,
        mirror: "_Mirror",
        task: _Task,
        error: RayError,
        waiting: deque[_Task],
        stopping: bool,
        errors: list[Exception],
    ) -> Iterator[Event]:
        """Begin a group again whose node or process is gone."""
        task.tries += 1
        if stopping:
            yield from self._end(mirror, task, "interrupted", "its node was lost while it stopped")
        elif task.tries < TRIES:
            waiting.appendleft(task)
        elif task.live:
            yield from self._end(mirror, task, "failed", f"its node was lost {TRIES} times: {_first_line(error)}")
        else:
            errors.append(LossbenchError(f"no node could begin with a cell: {_first_line(error)}"))

    def _end(self, mirror: "_Mirror", task: _Task, status: Status, reason: str) -> Iterator[Event]:
        for run_id in task.live:
            yield mirror.own.append(RunEnded(run_id=run_id, at=now(), status=status, reason=reason), sync=True)
        task.ended |= task.begun.keys()

    def _dismiss(self, idle: list[Any], unheard: list[_Task]) -> None:
        """Let everything go; runs that nobody will hear of any more are marked."""
        if any(task.live for task in unheard):
            with _Mirror(self._settings) as mirror:
                for task in unheard:
                    list(self._end(mirror, task, "interrupted", "stopped at once"))
        _stand_up(idle)
        _leave()
        self.__dict__.pop("workers", None)


def _stand_up(idle: list[Any]) -> None:
    """Let seats clear away what they made and end."""
    if not idle:
        return
    with contextlib.suppress(RayError):
        ray.wait([seat.leave.remote() for seat in idle], num_returns=len(idle), timeout=PATIENCE_SECONDS)
    for seat in idle:
        ray.kill(seat)
    idle.clear()


class _Mirror:
    """The driver's copies of the nodes' journals, beside the one it writes itself."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self._copies: dict[str, journal.Copy] = {}

    @cached_property
    def own(self) -> Journal:
        return Journal(self._home)

    def __enter__(self) -> "_Mirror":
        return self

    def __exit__(self, *_: object) -> None:
        for copy in self._copies.values():
            copy.close()
        if "own" in self.__dict__:
            self.own.__exit__()

    def take(self, told: Told) -> Iterator[Event]:
        """Add what was told, and give the events that are whole now."""
        copy = self._copies.get(told.attempt) or journal.Copy(self._home, told.attempt)
        self._copies[told.attempt] = copy
        copy.append(told.offset, told.lines)
        return (from_json(line.body) for line in journal.read(copy.path, told.offset))


def _connect(address: str | None) -> None:
    """Join a cluster, with Ray's own talk kept off both streams and our signal handlers left in place."""
    if address is not None and address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"address {address!r}: write HOST:PORT of a Ray cluster, or auto")
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS / 3).close()
        except (OSError, OverflowError) as error:
            raise UsageError(f"no Ray cluster answers at {address}: {error}") from None
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(
            # By itself Ray would look for whatever cluster was started last on this machine.
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            include_dashboard=False if address is None else None,
        )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise UsageError(f"no Ray cluster answers at {address or 'this machine'}: {_first_line(error)}") from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _WithoutRay:
    """Standard output without what Ray's own threads print of its processes, whatever it is told about logs."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stream.write(text))


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _leave() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What its threads had held back is printed now.
    with redirect_stdout(io.StringIO()):
        ray.shutdown()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
