"""A Ray cluster as a driver sees it: joining and leaving one, its nodes, and what they have room for."""

import io
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
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

from lossbench.errors import LossbenchError, UsageError
from lossbench.executors.nodes import Answer, Visited

__all__ = ["PATIENCE_SECONDS", "alive", "ask_all", "first_line", "join", "leave", "quiet", "room_for"]

PATIENCE_SECONDS = 30.0
"""How long a cluster may take to answer, and a worker to clear away."""


def join(address: str | None) -> None:
    """Join a cluster, with Ray's own talk kept off both streams and our signal handlers left in place.

    `address` is HOST:PORT, or `auto` for the cluster this machine belongs to; None starts one that ends with us.

    Raises:
        UsageError: none answers there.
    """
    if address is not None and address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"address {address!r}: write HOST:PORT of a Ray cluster, or auto")
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS / 3).close()
        except (OSError, OverflowError) as error:
            raise UsageError(f"no Ray cluster answers at {address}: {error}") from None
    try:
        with _our_handlers():
            ray.init(
                # By itself Ray would look for whatever cluster was started last on this machine.
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                include_dashboard=False if address is None else None,
            )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise UsageError(f"no Ray cluster answers at {address or 'this machine'}: {first_line(error)}") from None


def leave() -> None:
    """Leave the cluster, which ends if it was started by joining it."""
    # What its threads had held back is printed now.
    with _our_handlers(), redirect_stdout(io.StringIO()):
        ray.shutdown()


def quiet() -> redirect_stdout[Any]:
    """Keep what Ray's threads print of its processes off stdout, whatever it is told about logs."""
    return redirect_stdout(_WithoutRay(sys.stdout))


def alive() -> list[dict[str, Any]]:
    """What Ray knows of each node that is there."""
    return [node for node in ray.nodes() if node["Alive"]]


def room_for(wanted: Mapping[str, float]) -> int:
    """How often all nodes together have these resources, taken by others or not."""
    return sum(
        int(min(node["Resources"].get(name, 0.0) / amount for name, amount in wanted.items() if amount))
        for node in alive()
    )


def ask_all(question: Callable[..., Visited], *about: Any) -> Iterator[tuple[Answer, Visited]]:
    """Put a question to every node.

    Raises:
        UsageError: a node cannot run lossbench.
        LossbenchError: a node does not answer, or none is left.
    """
    there = [node["NodeID"] for node in alive()]
    pinned = [NodeAffinitySchedulingStrategy(each, soft=False) for each in there]
    task: Any = ray.remote(question)
    asked = time.time()
    pending: list[Any] = [task.options(num_cpus=0, scheduling_strategy=each).remote(*about) for each in pinned]
    answered = False
    while pending:
        ready, pending = ray.wait(pending, timeout=max(0.0, asked + 4 * PATIENCE_SECONDS - time.time()))
        heard = time.time()
        if not ready:
            raise LossbenchError(f"{len(pending)} of {len(there)} nodes of the cluster do not answer")
        try:
            visited: Visited = ray.get(ready[0])
        except RayTaskError as error:
            raise UsageError(f"a node of the cluster cannot run lossbench: {first_line(error.cause)}") from None
        except (TaskUnschedulableError, NodeDiedError, WorkerCrashedError):
            # Gone since it was last heard of; the cluster says so a few seconds late.
            continue
        except RayError as error:
            raise LossbenchError(f"a node of the cluster does not answer: {first_line(error)}") from None
        answered = True
        yield Answer(node=visited.node, asked=asked, heard=heard), visited
    if not answered:
        raise LossbenchError("no node of the cluster is left")


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _our_handlers() -> Iterator[None]:
    """Leave our signal handlers in place, for Ray sets its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _WithoutRay:
    """Standard output without what Ray's own threads print."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stream.write(text))
