"""Several groups at once, each in a worker process with its own device and its share of the cores.

A worker is talked to over one socket: groups and the wish to stop go in, events come out. A worker that loses its
parent stops as if asked to, and checkpoints; a worker that dies fails its group and is replaced.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from lossbench.errors import LossbenchError, UsageError
from lossbench.events import Event, RunEnded, RunStarted, now
from lossbench.executors.work import Group, Rehearsal, Settings, Stop, could_not_begin
from lossbench.journal import Journal

__all__ = ["Pool", "parse_gpus", "visible_gpus"]

POLL_SECONDS = 0.1
"""How long an interrupt may go unnoticed while no worker has anything to say."""

PATIENCE_SECONDS = 10.0
"""How long an idle worker may take to leave."""


class Pool:
    """Worker processes, each running one group at a time in the order of the groups.

    Each sees one of the `gpus` only; where none are named, one of the visible ones, unless it is to use the CPU.
    """

    def __init__(self, settings: Settings, *, workers: int, gpus: Sequence[str] = ()) -> None:
        self._settings = settings
        self._gpus = gpus or (visible_gpus() if settings.device in ("auto", "cuda") else ())
        self._slots = set(range(workers))
        self._errors: list[LossbenchError] = []
        self._kept: list[_Worker] = []

    def pace(self, groups: Sequence[Group]) -> float:
        """Cell epochs per second of as many workers as there are groups, each with one; they are kept for what follows.

        Raises:
            LossbenchError: one of them could not start or train; only `close` is left to do.
        """
        self.resize(len(groups))
        for slot in range(len(self._kept), len(groups)):
            try:
                self._kept.append(self._start(slot))
            except OSError as error:
                raise _no_start(error) from None
        for worker, group in zip(self._kept, groups, strict=True):
            worker.come_up()
            worker.begin_rehearsal(group, self._chosen())
        for worker in self._kept:
            worker.answer()
        # The clock starts once the last one is ready.
        for worker in self._kept:
            worker.go_on()
        return sum(worker.end_rehearsal() for worker in self._kept)

    def resize(self, workers: int) -> None:
        """Have so many workers from now on; those kept beyond them leave."""
        self._slots = set(range(workers))
        _dismiss(self._kept[workers:])
        del self._kept[workers:]

    def close(self) -> None:
        """Let all workers go that were kept; one in the midst of something ends at once."""
        _dismiss(self._kept)
        self._kept = []

    def room(self) -> int:
        return len(self._slots)

    def run(self, groups: Sequence[Group], stop: Stop) -> Iterator[Event]:
        self._errors = []
        waiting = list(reversed(groups))
        slots = set(self._slots)
        workers, self._kept = self._kept, []
        told = False
        try:
            while True:
                if stop():
                    waiting.clear()
                    for worker in workers if not told else ():
                        worker.ask_to_stop()
                    told = True
                # Only a worker that is up is given a group, so that a slow start holds no group back.
                for worker in workers:
                    if worker.idle and waiting:
                        worker.begin(waiting.pop(), self._chosen())
                vacant = slots - {worker.slot for worker in workers}
                starting = sum(not worker.up for worker in workers)
                for slot in sorted(vacant)[: max(0, len(waiting) - starting)]:
                    try:
                        workers.append(self._start(slot))
                    except OSError as error:
                        # The workers there are go on without this one.
                        slots.discard(slot)
                        if not workers:
                            self._errors.append(_no_start(error))
                            waiting.clear()
                            break
                if not waiting and not any(worker.group for worker in workers):
                    break
                ready = wait([worker.connection for worker in workers], timeout=POLL_SECONDS)
                for worker in [each for each in workers if each.connection in ready]:
                    yield from self._heard(worker, stop)
                    if worker.dead:
                        workers.remove(worker)
                        # What keeps a worker from coming up keeps the next one too.
                        if not worker.up:
                            waiting.clear()
        finally:
            _dismiss(workers)
        could_not_begin(self._errors)

    def _start(self, slot: int) -> "_Worker":
        gpu = {"CUDA_VISIBLE_DEVICES": self._gpus[slot % len(self._gpus)]} if self._gpus else {}
        return _Worker(slot, {**os.environ, **gpu})

    def _chosen(self) -> Settings:
        """What each worker trains with: its share of the cores where nobody has chosen a number of threads."""
        return replace(self._settings, share=max(1, len(os.sched_getaffinity(0)) // len(self._slots)))

    def _heard(self, worker: "_Worker", stop: Stop) -> Iterator[Event]:
        """What a worker has to say; its death is told in its place."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker, stop)
            return
        match message:
            case None:
                worker.up, worker.group = True, None
            case LossbenchError():
                self._errors.append(message)
            case _:
                worker.follow(message)
                yield message

    def _bury(self, worker: "_Worker", stop: Stop) -> Iterator[Event]:
        obituary = worker.obituary()
        reason = f"its worker process died: {obituary}"
        group, worker.group = worker.group, None
        # The signal that stops a sweep may reach its workers as well, and one that is not up yet leaves at once.
        if not worker.up and not stop():
            self._errors.append(LossbenchError(f"a worker process could not start: {obituary}"))
        elif group is not None and not worker.begun:
            cell = group.cells[0]
            self._errors.append(LossbenchError(f"{cell.preset.name} {cell.loss} seed {cell.seed}: {reason}"))
        if worker.live:
            with Journal(self._settings.home) as journal:
                for run_id in worker.live:
                    yield journal.append(RunEnded(run_id=run_id, at=now(), status="failed", reason=reason))


def _no_start(error: OSError) -> LossbenchError:
    return LossbenchError(f"a worker process could not start: {error.strerror or error}")


def _dismiss(workers: "Sequence[_Worker]") -> None:
    for worker in workers:
        worker.dismiss()
    for worker in workers:
        worker.wait()


class _Worker:
    """A worker process as its parent sees it."""

    def __init__(self, slot: int, environment: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        # Ctrl-C goes to the whole process group; a worker that begins with it blocked can never be hit by it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lossbench.executors.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=environment,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.connection = Connection(ours.detach())
        self.slot = slot
        self.up = False
        self.group: Group | None = None
        self.live: set[str] = set()
        self.begun = False
        self.dead = False

    @property
    def idle(self) -> bool:
        return self.up and self.group is None

    def come_up(self) -> None:
        """Wait until it is up.

        Raises:
            LossbenchError: it died.
        """
        if not self.up:
            self.answer()
            self.up = True

    def begin(self, group: Group, settings: Settings) -> None:
        self.group, self.begun = group, False
        self._send((group, settings))

    def begin_rehearsal(self, group: Group, settings: Settings) -> None:
        self.group = group
        self._send((Rehearsal(group), settings))

    def go_on(self) -> None:
        self._send(True)

    def end_rehearsal(self) -> float:
        """Cell epochs per second."""
        rate = float(self.answer())
        self.answer()
        self.group = None
        return rate

    def answer(self) -> Any:
        """The next thing it says: how fast a rehearsal was, or None when it is ready for what comes next.

        Raises:
            LossbenchError: it died, or tells that it could not do what it was asked for.
        """
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            raise LossbenchError(f"a worker process died: {self.obituary()}") from None
        if isinstance(message, LossbenchError):
            raise message
        return message

    def ask_to_stop(self) -> None:
        self._send(None)

    def follow(self, event: Event) -> None:
        """Keep account of the runs that have started and not ended."""
        match event:
            case RunStarted():
                self.begun = True
                self.live.add(event.run_id)
            case RunEnded():
                self.live.discard(event.run_id)

    def obituary(self) -> str:
        """How the process ended."""
        self.dead = True
        self.connection.close()
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "killed by SIGKILL, as the kernel does when memory runs out"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def dismiss(self) -> None:
        """Let an idle worker go; end a busy one at once."""
        if not self.idle:
            self._process.kill()
        self.connection.close()

    def wait(self) -> None:
        """Until the process is gone."""
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: object) -> None:
        # A worker that has died is noticed when it is next listened to.
        with contextlib.suppress(OSError):
            self.connection.send(message)


def visible_gpus() -> list[str]:
    """The GPUs this process may use, by the names CUDA_VISIBLE_DEVICES takes, found without loading CUDA."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each.strip() for each in named.split(",") if each.strip()]
    with contextlib.suppress(OSError):
        return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").iterdir())]
    return []


def parse_gpus(text: str) -> list[str]:
    """The GPUs named in a list such as `0,1,3`.

    Raises:
        UsageError: one of them is not there, or is named twice.
    """
    named = [each.strip() for each in text.split(",")]
    there = visible_gpus()
    for each in named:
        if each not in there:
            raise UsageError(
                f"there is no GPU {each!r} here; " + (f"known: {', '.join(there)}" if there else "none is")
            )
    if len(set(named)) < len(named):
        raise UsageError(f"GPUs {text!r} names one twice; --jobs-per-gpu gives each several workers")
    return named
