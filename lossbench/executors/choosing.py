"""How many processes train a plan fastest, measured on its first cells."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lossbench import cohort
from lossbench.errors import LossbenchError
from lossbench.executors.inline import Inline
from lossbench.executors.pool import Pool
from lossbench.executors.trial import pace
from lossbench.executors.work import Executor, Group, Settings
from lossbench.memory import available_mib, peak_mib
from lossbench.spec import RunSpec

__all__ = ["choose"]

WORTH_TRYING_SECONDS = 20.0
"""What one process would take for all cells, from which trying others repays itself: two processes save a half at
best and often nothing, and trying them takes some five seconds."""

GAIN = 1.05
"""How much faster twice as many processes must be to be chosen, and for more to be tried."""


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

    Raises:
        LossbenchError: not even one process can train the first cells.
    """
    one_core = all(cohort.accepts(cell) for cell in cells)
    alone, *others = arrangements(len(os.sched_getaffinity(0)), most=len(cells), one_core=one_core)
    if not others:
        return Inline(settings), f"{alone}: there is nothing to share out"
    free = available_mib()
    first = pace(grouped(1)[0], settings)
    seconds = math.ceil(sum(cell.preset.epochs for cell in cells) / first)
    if seconds < WORTH_TRYING_SECONDS:
        return Inline(settings), f"{alone}: by the pace of the first cells, all are done in about {seconds} s"
    peak = peak_mib()
    fit = math.inf if free is None or not peak else free // peak
    pool = Pool(settings, workers=1)
    chosen, rate, words = alone, first, []
    try:
        for each in others:
            groups = grouped(each.processes)
            if each.processes > min(fit, len(groups)):
                words.append("no more fit into memory" if each.processes > fit else "there is no work for more")
                break
            try:
                reached = pool.pace(groups[: each.processes])
            except LossbenchError as error:
                words.append(f"{each} could not be tried: {error}")
                pool.close()
                break
            words.append(f"{each} reach {reached / first:.2f}")
            if reached < GAIN * rate:
                break
            chosen, rate = each, reached
    except BaseException:
        pool.close()
        raise
    executor: Executor = Inline(settings)
    if chosen is alone:
        pool.close()
    else:
        pool.resize(chosen.processes)
        executor = pool
    return executor, f"{chosen}, from the first cells: against {alone}, {', '.join(words)}"
