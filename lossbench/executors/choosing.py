"""How many processes train a plan fastest, measured on its first cells."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lossbench import cohort
from lossbench.costs import estimate
from lossbench.errors import LossbenchError
from lossbench.executors.inline import Inline
from lossbench.executors.pool import Pool
from lossbench.executors.trial import pace
from lossbench.executors.work import Executor, Group, Settings
from lossbench.memory import available_mib
from lossbench.spec import RunSpec

__all__ = ["choose"]

WORTH_TRYING_SECONDS = 30.0
"""What one process would take for all cells, from which trying others repays itself: two processes save a half at
best and often nothing, and trying them takes some five seconds."""

WORTH_TRYING_BESIDE_IDLE_CORES_SECONDS = 10.0
"""The same where one process computes with one core, so that a second one is sure to be of use."""

GAIN = 1.05
"""How much faster twice as many processes must be to be chosen, and for more to be tried."""

FIRST = 16
"""Cells of a plan whose presets tell how much memory each process takes."""


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


def arrangements(cores: int, *, most: int, one_core: bool) -> list[Arrangement]:
    """One process, then twice as many each time, up to one for each core or to `most`.

    They share all cores, unless each would compute with `one_core` anyway.
    """
    counts = [2**power for power in range(cores.bit_length()) if 2**power <= min(cores, most)]
    return [Arrangement(processes=count, threads=1 if one_core else cores // count) for count in counts]


def choose(
    cells: Sequence[RunSpec], grouped: Callable[[int], Sequence[Group]], settings: Settings
) -> tuple[Executor, str]:
    """The executor with as many processes as train the first cells fastest, and what that rests on.

    Where one process is soon done with all cells, it begins at once: finding out would take longer.

    Args:
        grouped: the groups of all cells, for so many processes.
    """
    one_core = all(cohort.accepts(cell) for cell in cells)
    alone, *others = arrangements(len(os.sched_getaffinity(0)), most=len(cells), one_core=one_core)
    if not others:
        return Inline(settings), f"{alone}: there is nothing to share out"
    first = pace(grouped(1)[0], settings)
    seconds = math.ceil(sum(cell.preset.epochs for cell in cells) / first)
    if seconds < (WORTH_TRYING_BESIDE_IDLE_CORES_SECONDS if one_core else WORTH_TRYING_SECONDS):
        return Inline(settings), f"{alone}: by the pace of the first cells, all are done in about {seconds} s"
    executor: Inline | Pool = Inline(settings)
    chosen, rate, fit, words = alone, first, _most_processes(cells), []
    for each in others:
        groups = grouped(each.processes)
        if each.processes > min(fit, len(groups)):
            words.append("no more fit into memory" if each.processes > fit else "there is no work for more")
            break
        pool = Pool(settings, workers=each.processes)
        try:
            reached = pool.pace(groups)
        except LossbenchError as error:
            words.append(f"{each} could not be tried: {error}")
            break
        words.append(f"{each} reach {reached / first:.2f}")
        if reached < GAIN * rate:
            pool.close()
            break
        if isinstance(executor, Pool):
            executor.close()
        chosen, rate, executor = each, reached, pool
    return executor, f"{chosen}, from the first cells: against {alone}, {', '.join(words)}"


def _most_processes(cells: Sequence[RunSpec]) -> int:
    """How many can train these cells at once within the memory that is free."""
    free = available_mib()
    if free is None:
        return len(cells)
    largest = max(estimate(preset).memory_bytes for preset in {cell.preset for cell in cells[:FIRST]})
    return min(len(cells), max(1, int(free * 2**20 // largest)))
