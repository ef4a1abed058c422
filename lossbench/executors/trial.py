"""How many processes train a plan fastest, measured on its first cells: `python -m lossbench.executors.trial`.

Each arrangement trains for some seconds in processes of its own, all of which begin together; nothing is recorded.
"""

import contextlib
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lossbench.errors import LossbenchError
from lossbench.executors.pool import gpus_for, surroundings
from lossbench.executors.work import Group, Settings

__all__ = ["Arrangement", "arrangements", "measure", "pace"]

SECONDS = 2.0
"""How long each arrangement trains."""

WARM_UP = 2
"""Batches, or blocks of them, before the clock starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """So many processes, each with so many CPU threads."""

    processes: int
    threads: int

    def __str__(self) -> str:
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{processes} with {self.threads} thread{'s' if self.threads > 1 else ''}" + (
            " each" if self.processes > 1 else ""
        )


def arrangements(cores: int, *, most: int) -> list[Arrangement]:
    """One process with all cores, then twice as many with half of them each, down to one core or `most` processes."""
    counts = [2**power for power in range(cores.bit_length()) if 2**power <= min(cores, most)]
    return [Arrangement(processes=count, threads=cores // count) for count in counts]


def measure(arrangement: Arrangement, groups: Sequence[Group], settings: Settings) -> float:
    """Cell epochs per second of all processes together, each with the next of the groups.

    Raises:
        LossbenchError: they could not train.
    """
    threads, gpus = settings.threads or arrangement.threads, gpus_for(settings.device)
    command = [sys.executable, "-P", "-m", "lossbench.executors.trial"]
    with contextlib.ExitStack() as stack:
        processes = []
        for slot in range(arrangement.processes):
            around = surroundings(slot, threads, gpus)
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=around)
            )
            stack.callback(process.kill)
            processes.append(process)
        for process, group in zip(processes, groups, strict=False):
            _write(process, pickle.dumps((group, settings)))
        # All are told to go once all are ready.
        if any(_line(process) != b"ready\n" for process in processes):
            raise LossbenchError(f"{arrangement} could not be tried; name a number of --jobs")
        for process in processes:
            _write(process, b"go\n")
        try:
            return sum(float(_line(process)) for process in processes)
        except ValueError:
            raise LossbenchError(f"{arrangement} could not be tried; name a number of --jobs") from None


def pace(group: Group, settings: Settings, ready: Callable[[], None] = lambda: None) -> float:
    """Cell epochs per second of a group that trains in this process; `ready` is called before the clock starts."""
    # Only now, under the environment that the parent has chosen.
    from lossbench.experiment import rehearse

    began, taken, count = 0.0, 0.0, 0

    def stop() -> bool:
        nonlocal began, taken, count
        count += 1
        if count == WARM_UP:
            ready()
            began = time.perf_counter()
        taken = time.perf_counter() - began
        return count > WARM_UP and taken > SECONDS

    in_an_epoch = rehearse(
        group.cells, data_folder=settings.data_folder, device=settings.device, stop=stop, threads=settings.threads
    )
    return (count - WARM_UP) / in_an_epoch * len(group.cells) / taken


def _write(process: "subprocess.Popen[bytes]", words: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(words)
        process.stdin.flush()


def _line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def main() -> None:
    """Train the group that stdin names, and print how many cell epochs a second were made."""
    group, settings = pickle.load(sys.stdin.buffer)

    def ready() -> None:
        print("ready", flush=True)
        sys.stdin.readline()

    print(pace(group, settings, ready), flush=True)


if __name__ == "__main__":
    main()
