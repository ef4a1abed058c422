"""Groups as the work of actors in a Ray cluster, with what they need of processors and GPUs.

The driver alone writes its home: the nodes' journals and checkpoints come to it in a stream, without a shared disk. A
group whose node is lost begins again elsewhere, from the last checkpoint that arrived.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from lossbench import checkpoint, journal, processes, retention
from lossbench.errors import LossbenchError, UsageError
from lossbench.events import Event, RunEnded, RunStarted, Status, from_json, now
from lossbench.executors import cluster, nodes
from lossbench.executors.nodes import Answer, Forgot, News, Saved, Told
from lossbench.executors.work import Group, Settings, Stop, could_not_begin
from lossbench.journal import Journal
from lossbench.locks import claimed

__all__ = ["Ray"]

POLL_SECONDS = 0.1
"""How long an interrupt may go unnoticed while no node has anything to say."""

LOOK_SECONDS = 5.0
"""How often it is looked whether nodes have joined."""

TRIES = 3
"""How often a group is begun on nodes that are lost before it has come any further, and a seat hired in vain."""


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

    def room(self) -> int:
        """Join the cluster, unless that is done, and count how many cells it has room for at once.

        Raises:
            UsageError: no cluster answers, or none of its nodes has what one cell takes.
        """
        if not ray.is_initialized():
            cluster.join(self._address)
        wanted = self._needs()
        room = cluster.room_for(wanted)
        if not room:
            has = "; ".join(
                f"{node['NodeManagerHostname']} has {node['Resources'].get('CPU', 0):g} CPUs and "
                f"{node['Resources'].get('GPU', 0):g} GPUs"
                for node in cluster.alive()
            )
            cluster.leave()
            raise UsageError(f"no node has the {wanted['CPU']:g} CPUs and {wanted['GPU']:g} GPUs of one cell: {has}")
        return room

    def run(self, groups: Sequence[Group], stop: Stop) -> Iterator[Event]:
        """Yield the events of every group.

        Raises:
            LossbenchError: nodes that are not fit for it, or after the last event, when groups could not begin or
                a node that joined later was not fit.
        """
        if not groups:
            return
        room, looked = self.room(), time.monotonic()
        home = self._settings.home
        errors: list[Exception] = []
        waiting = deque(_Task(group) for group in groups)
        crew = _Crew(self._settings, self._needs(), self._data_dir)
        busy: dict[Any, tuple[Any, _Task]] = {}
        stream: Any
        asked = lost = False
        known = [run_id for group in groups for run_id in group.run_ids if run_id]
        try:
            with cluster.quiet(), claimed(home, known), _Mirror(self._settings) as mirror:
                nodes.refuse_unlike(self._fetch(mirror, known), nodes.look())
                while waiting or busy:
                    if stop() and not asked:
                        asked = True
                        waiting.clear()
                        for seat, _ in busy.values():
                            seat.ask_to_stop.remote()
                    if time.monotonic() - looked > LOOK_SECONDS:
                        # A lost node's room is kept for the one that may come in its place.
                        room, looked = max(room, cluster.room_for(crew.wanted)), time.monotonic()
                    crew.recruit(len(waiting), room - len(busy))
                    while waiting and crew.idle:
                        task, seat = waiting.popleft(), crew.idle.pop()
                        busy[self._begin(seat, task)] = (seat, task)
                    if waiting and not busy and not crew.coming:
                        # Whoever was there has been refused, or none comes.
                        errors += crew.trouble
                        break
                    for stream in ray.wait([*busy, *crew.coming], timeout=POLL_SECONDS)[0]:
                        if stream in crew.coming:
                            crew.meet(stream, errors)
                            continue
                        seat, task = busy[stream]
                        try:
                            news: Any = ray.get(next(stream))
                            yield from self._hear(news, mirror, task, errors)
                        except StopIteration:
                            del busy[stream]
                            crew.idle.append(seat)
                        except RayTaskError as error:
                            del busy[stream]
                            crew.idle.append(seat)
                            yield from self._end(mirror, task, "failed", f"{type(error.cause).__name__}: {error.cause}")
                        except RayError as error:
                            lost = True
                            del busy[stream]
                            yield from self._lost(mirror, task, error, waiting, asked, errors)
                    # A seat at rest holds the processors that one hired for a lost node's cells may be waiting for.
                    if not waiting and busy:
                        crew.stand_up()
                if lost:
                    # A process may be gone and its machine still there, with what it left.
                    with contextlib.suppress(LossbenchError):
                        self._fetch(mirror, ())
        finally:
            self._dismiss(crew, [task for _, task in busy.values()])
        could_not_begin(errors)

    def _needs(self) -> dict[str, float]:
        """What one cell takes of a node."""
        device = self._settings.device
        there = device == "auto" and any(node["Resources"].get("GPU") for node in cluster.alive())
        gpu = device.startswith("cuda") or there
        return {"CPU": float(self._settings.threads or 1), "GPU": 1 / self._per_gpu if gpu else 0.0}

    def _fetch(self, mirror: "_Mirror", wanted: Sequence[str]) -> list[Answer]:
        """Take home what was not heard of the nodes, and the checkpoints of wanted runs that are ahead of ours."""
        home = self._settings.home
        name = nodes.name_of(home)
        found = [*cluster.ask_all(nodes.visit, name, journal.sizes(home), wanted)]
        for _, visited in found:
            for told in visited.told:
                mirror.take(told)
            for epoch, saved in visited.saved:
                mine = {run_id: known for known, each in nodes.packed(home, saved.run_ids) for run_id in each.run_ids}
                behind = [run_id for run_id in saved.run_ids if mine.get(run_id, 0) < epoch]
                if behind:
                    checkpoint.place(home, saved.name, saved.content, behind)
        if any(visited.told or visited.saved for _, visited in found):
            # What is home now need not stay where it was.
            for _ in cluster.ask_all(nodes.visit, name, journal.sizes(home), ()):
                pass
        return [answer for answer, _ in found]

    def _begin(self, seat: Any, task: _Task) -> Any:
        group = task.rest()
        home = self._settings.home
        known = [run_id for run_id in group.run_ids if run_id and home.checkpoint_folder is None]
        files = [saved for _, saved in nodes.packed(home, known)]
        return seat.train.options(num_returns="streaming").remote(group, files)

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
            reason = f"its node was lost {TRIES} times: {cluster.first_line(error)}"
            yield from self._end(mirror, task, "failed", reason)
        else:
            errors.append(LossbenchError(f"no node could begin with a cell: {cluster.first_line(error)}"))

    def _end(self, mirror: "_Mirror", task: _Task, status: Status, reason: str) -> Iterator[Event]:
        for run_id in task.live:
            yield mirror.own.append(RunEnded(run_id=run_id, at=now(), status=status, reason=reason), sync=True)
        task.ended |= task.begun.keys()

    def _dismiss(self, crew: "_Crew", unheard: list[_Task]) -> None:
        """Let everything go; runs that nobody will hear of any more are marked."""
        if any(task.live for task in unheard):
            with _Mirror(self._settings) as mirror:
                for task in unheard:
                    list(self._end(mirror, task, "interrupted", "stopped at once"))
        crew.stand_up()
        cluster.leave()


class _Crew:
    """The seats that train nothing at present: on their way, at rest, or of no use."""

    def __init__(self, settings: Settings, wanted: dict[str, float], data_dir: Path | None) -> None:
        self.wanted = wanted
        self.coming: dict[Any, tuple[Any, float | None]] = {}
        """What each is to answer, and when it was asked for the time; first it is to say that it is up."""
        self.idle: list[Any] = []
        self.trouble: list[Exception] = []
        """Why seats did not come, since the last one that did."""
        self._refused: list[Any] = []
        self._me = nodes.look()
        threads = settings.threads or 1
        self._seat = (nodes.name_of(settings.home), replace(settings, threads=threads), data_dir, processes.identity())

    def recruit(self, tasks: int, room: int) -> None:
        """Hire for so many tasks as there is room for."""
        # A seat on a node that is not fit keeps its place there, or the next one would be given it.
        missing = min(tasks, room - len(self._refused)) - len(self.idle) - len(self.coming)
        for _ in range(missing if len(self.trouble) < TRIES else 0):
            hired: Any = ray.remote(nodes.Seat).options(
                num_cpus=self.wanted["CPU"], num_gpus=self.wanted["GPU"], max_concurrency=2, max_restarts=0
            )
            seat = hired.remote(*self._seat)
            self.coming[seat.introduce.remote()] = (seat, None)

    def meet(self, answer: Any, errors: list[Exception]) -> None:
        """Hear a seat that is on its way; it is one of us once its machine is known to be fit."""
        seat, asked = self.coming.pop(answer)
        heard = time.time()
        try:
            node = ray.get(answer)
        except RayError as error:
            self.trouble.append(LossbenchError(f"no node could begin with a cell: {cluster.first_line(error)}"))
            return
        self.trouble.clear()
        if asked is None:
            # It may have waited long for its place, so that only a second answer says something about its clock.
            self.coming[seat.introduce.remote()] = (seat, heard)
            return
        try:
            nodes.refuse_unlike([Answer(node=node, asked=asked, heard=heard)], self._me)
        except UsageError as error:
            self._refused.append(seat)
            errors.append(error)
            return
        self.idle.append(seat)

    def stand_up(self) -> None:
        """Let all clear away what they made and end."""
        seats = [*self.idle, *self._refused]
        with contextlib.suppress(RayError):
            if seats:
                leaving = [seat.leave.remote() for seat in seats]
                ray.wait(leaving, num_returns=len(seats), timeout=cluster.PATIENCE_SECONDS)
        for seat in (*seats, *(seat for seat, _ in self.coming.values())):
            ray.kill(seat)
        for each in (self.idle, self._refused, self.coming):
            each.clear()


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
