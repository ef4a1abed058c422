"""Each network on several devices, one process per device: this one is the first rank, which alone plans and records.

Whoever starts the others, this executor or `torchrun`, they wait for the first until it has something to train, and
leave when it says that all is over: `python -m lossbench.executors.ranks`.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from lossbench.errors import LossbenchError, UsageError
from lossbench.events import Event
from lossbench.executors.pool import PATIENCE_SECONDS, visible_gpus
from lossbench.executors.work import Group, Settings, Stop, one_by_one, train

if TYPE_CHECKING:
    from torch.distributed import Store

    from lossbench.ranks import World

__all__ = ["Launch", "Ranks", "assist", "launched", "leading"]

AWAITED = timedelta(days=1)
"""How long other ranks wait for the first, which may have a data set to fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The place among its fellows that `torchrun` gave to this process."""

    rank: int
    size: int


def launched() -> Launch | None:
    """How this process was started; None where it is by itself."""
    try:
        return Launch(rank=int(os.environ["RANK"]), size=int(os.environ["WORLD_SIZE"]))
    except (KeyError, ValueError):
        return None


class Ranks:
    """One group after the other, each on all devices."""

    def __init__(self, settings: Settings, *, devices: int) -> None:
        """
        Raises:
            UsageError: there are not so many devices.
        """
        cuda = settings.device == "cuda" or (settings.device == "auto" and bool(visible_gpus()))
        here = len(visible_gpus()) if cuda and launched() is None else devices
        if settings.device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"--device {settings.device} is one device; with --devices write cuda or cpu")
        if devices > here:
            raise UsageError(f"--devices {devices}: this machine has {here} CUDA device{'' if here == 1 else 's'}")
        cores = len(os.sched_getaffinity(0))
        place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
        here = int(os.environ.get("LOCAL_WORLD_SIZE", str(devices)))
        self._settings = replace(settings, device=place, threads=settings.threads or max(1, cores // here))
        self._size = devices

    def room(self) -> int:
        return 1

    def run(self, groups: Sequence[Group], stop: Stop) -> Iterator[Event]:
        yield from one_by_one(groups, stop, lambda group: train(group, self._settings, stop, join=self._joined))

    @contextmanager
    def _joined(self) -> "Iterator[World]":
        from lossbench import ranks

        with contextlib.ExitStack() as stack:
            company = None if launched() else stack.enter_context(_company(self._size, self._settings))
            store = company.store if company else _meeting()
            world = ranks.World(0, self._size, self._settings.largest, company.obituary if company else str)
            yield stack.enter_context(
                ranks.joined(_call(store, go=True), world, cuda=self._settings.device.startswith("cuda"))
            )


@dataclass(frozen=True, slots=True)
class _Company:
    """The other ranks of one training program, as the process sees them that started them."""

    store: "Store"
    processes: "list[subprocess.Popen[bytes]]"

    def obituary(self) -> str:
        """How those ended that have ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            # A socket is closed a moment before its process can be buried.
            for each in self.processes:
                each.wait(0.5)
        codes = {rank: each.poll() for rank, each in enumerate(self.processes, start=1)}
        return ", ".join(f"process {rank} {_ending(code)}" for rank, code in codes.items() if code)


@contextmanager
def _company(size: int, settings: Settings) -> Iterator[_Company]:
    """Processes for all ranks but the first on this machine; none of them is left when the block is."""
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, size, is_master=True, wait_for_workers=False)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(1, size):
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(store.port),
                "OMP_NUM_THREADS": str(settings.threads),
                "MKL_NUM_THREADS": str(settings.threads),
            }
            device = f"cuda:{rank}" if settings.device.startswith("cuda") else "cpu"
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "lossbench.executors.ranks", device],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **environment},
                    # Ctrl-C goes to a whole process group; it is for the first rank to tell the others.
                    process_group=0,
                )
            )
        yield _Company(store, processes)
        _call(store, go=False)
    finally:
        for each in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.wait(PATIENCE_SECONDS if sys.exception() is None else 0)
            each.kill()
            each.wait()


@contextmanager
def leading() -> Iterator[None]:
    """Tell the ranks that `torchrun` started beside this one, after the block, that there is no more to train."""
    try:
        yield
    finally:
        if launched():
            _call(_meeting(), go=False)


def assist(device: str) -> None:
    """Be one of the ranks beside the first, until that one says that all is over.

    Raises:
        LossbenchError: another rank is lost, or cannot train.
    """
    from torch.distributed import PrefixStore

    from lossbench import ranks
    from lossbench.followers import train_along

    launch = launched()
    assert launch is not None
    # Those that torchrun starts are not told; the others are.
    if device in ("auto", "cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}" if visible_gpus() else "cpu"
    store = _meeting()
    number = 0
    while _called(store, number):
        before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
        world = ranks.World(launch.rank, launch.size)
        with ranks.joined(PrefixStore(f"group {number}", store), world, cuda=device.startswith("cuda")):
            train_along(world, device)
        for each, handler in before.items():
            signal.signal(each, handler)
        number += 1


def _called(store: "Store", number: int) -> bool:
    key = f"call {number}"
    store.wait([key], AWAITED)
    return bool(store.get(key) == b"go")


def _call(store: "Store", *, go: bool) -> "Store":
    """Call the other ranks to the next training program, or let them go.

    Returns:
        Where they meet for it.
    """
    from torch.distributed import PrefixStore

    number = store.add("calls", 1) - 1
    store.set(f"call {number}", "go" if go else "over")
    return PrefixStore(f"group {number}", store)


@cache
def _meeting() -> "Store":
    """Where the ranks meet that the environment names."""
    from torch.distributed import rendezvous

    store: Store
    store, _, _ = next(rendezvous("env://"))
    return store


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def main() -> None:
    """Assist until the first rank, whose standard error tells what is wrong, is done or gone."""
    with contextlib.suppress(LossbenchError):
        assist(sys.argv[1])
        return
    raise SystemExit(1)


if __name__ == "__main__":
    main()
