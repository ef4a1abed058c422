"""Planning cells and carrying the plan out. A `run` is a sweep of one cell; resuming is planning again."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lossbench import cohort, presets, suites
from lossbench.errors import UsageError
from lossbench.events import Event
from lossbench.executors import Executor, Group
from lossbench.spec import (
    LARGEST_COUNT,
    NUMBERS_VERSION,
    DataSpec,
    LossRef,
    ModelSpec,
    Preset,
    RunSpec,
    parse_assignment,
)
from lossbench.store.queries import Cell, RunDetail

__all__ = [
    "Planned",
    "Request",
    "carry_out",
    "cells",
    "expand",
    "grouped",
    "parse_seeds",
    "plan",
    "plan_again",
    "request",
]

_SUITE = "suite:"

MOST_SEEDS = 100_000
"""More than anybody trains, and few enough to be listed."""


Action = Literal["start", "resume", "keep", "leave"]
"""`keep` a finished attempt, `leave` one that failed or that another process is training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What will become of one cell; `run_id` is the attempt that is kept or gone on with."""

    spec: RunSpec
    action: Action
    run_id: str | None = None
    status: str = "new"
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a sweep is asked for, in the texts of the command line."""

    presets: Sequence[str]
    losses: Sequence[str]
    seeds: str
    grid: Sequence[str]


def request(names: Sequence[str], losses: Sequence[str], seeds: str | None, grid: Sequence[str]) -> Request:
    """Fill in what was not said: from the suite where `suite:NAME` is asked for, else cross entropy and 5 seeds.

    Raises:
        UsageError: no such suite, or one named together with other presets.
    """
    named = [name for name in names if name.startswith(_SUITE)]
    if not named:
        return Request(presets=names, losses=losses or ("ce",), seeds=seeds or "5", grid=grid)
    if len(names) > 1:
        raise UsageError(f"{named[0]} is swept alone, not together with other presets; start one sweep for each")
    suite = suites.load(named[0].removeprefix(_SUITE))
    return Request(
        presets=suite.presets,
        losses=losses or suite.losses,
        seeds=seeds or suite.seeds,
        grid=(*suite.grid, *grid),
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `5` as the seeds 0 to 4, and `0,3,5-9` or `7,` as a list.

    Raises:
        UsageError: the text is neither, or names a seed twice, or too many.
    """
    many = UsageError(f"seeds {text!r} are more than the {MOST_SEEDS:,} that one sweep takes")
    if re.fullmatch(r"0*[1-9]\d{0,9}", text):
        if int(text) > MOST_SEEDS:
            raise many
        return tuple(range(int(text)))
    seeds: list[int] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part.strip())
        if match is None or text.isdecimal():
            raise UsageError(f"seeds {text!r}: write a count such as 5, or a list such as 0,3,5-9")
        span = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(seeds) + len(span) > MOST_SEEDS:
            raise many
        seeds += span
    if not seeds:
        raise UsageError(f"seeds {text!r} names no seed; write a count such as 5, or a list such as 0,3,5-9")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds {text!r} names a seed twice")
    return tuple(seeds)


def expand(names: Iterable[str], overrides: Sequence[str], grid: Sequence[str]) -> dict[Preset, tuple[str, ...]]:
    """Every preset, once for each combination of the `field=v1,v2` grids, with its name and all its `field=value`."""
    axes = []
    for axis in grid:
        key, values = parse_assignment(axis)
        axes.append([f"{key}={value}" for value in _split(values)])
    return {
        presets.load(name, [*overrides, *combination]): (name, *overrides, *combination)
        for name in dict.fromkeys(names)
        for combination in itertools.product(*axes)
    }


def cells(experiments: Iterable[Preset], losses: Sequence[LossRef], seeds: Sequence[int]) -> list[RunSpec]:
    """The product of presets, losses and seeds, seed by seed, so that an early stop leaves complete pairs.

    Raises:
        UsageError: a seed is beyond the largest.
    """
    if seeds and max(seeds) > LARGEST_COUNT:
        raise UsageError(f"seed {max(seeds)} is too large; the largest is {LARGEST_COUNT}")
    chosen = list(experiments)
    return [
        RunSpec(preset=preset, loss=loss, seed=seed, numbers_version=NUMBERS_VERSION)
        for seed in seeds
        for preset in chosen
        for loss in dict.fromkeys(losses)
    ]


def plan(
    wanted: Sequence[RunSpec], known: Mapping[str, Cell], *, force: bool = False, retry: bool = False
) -> list[Planned]:
    """Set the wanted cells against the attempts the store knows.

    A done or diverged cell is kept, an interrupted or lost one is resumed, a failed one is left unless `retry`; `force`
    starts every cell anew.
    """
    planned = []
    for spec in wanted:
        cell = known.get(spec.key)
        if cell is None or force:
            planned.append(Planned(spec=spec, action="start"))
            continue
        action: Action
        match cell.status:
            case "done" | "diverged":
                action = "keep"
            case "running":
                action = "leave"
            case "failed":
                action = "resume" if retry else "leave"
            case _:
                action = "resume"
        planned.append(Planned(spec=spec, action=action, run_id=cell.run_id, status=cell.status, epoch=cell.epoch))
    return planned


def plan_again(runs: Iterable[RunDetail], *, anew: bool) -> list[Planned]:
    """Go on with stored runs where they stand, failed ones included, or with `anew` start each cell once more.

    Raises:
        UsageError: a stored spec means something else to this lossbench.
    """
    planned = []
    for run in runs:
        spec, row = presets.recall(run.spec, run.row.key), run.row
        if anew:
            planned.append(Planned(spec=spec, action="start"))
            continue
        actions: Mapping[str, Action] = {"done": "keep", "diverged": "keep", "running": "leave"}
        action = actions.get(row.status, "resume")
        planned.append(Planned(spec=spec, action=action, run_id=row.run_id, status=row.status, epoch=row.epoch))
    return planned


def carry_out(planned: Sequence[Planned], executor: Executor, stop: Callable[[], bool]) -> Iterator[Event]:
    """Train what is planned and yield what happens; small networks of one recipe train together.

    Where several groups run at once, the longest of a seed begin first, so that none is left to run alone at the end.

    Raises:
        LossbenchError: after the last event, when there were cells that could not even begin.
    """
    if not planned:
        return
    room = executor.room()
    groups = grouped(planned, room)
    yield from executor.run(_longest_first(groups) if 1 < room < len(groups) else groups, stop)


def grouped(planned: Sequence[Planned], workers: int) -> list[Group]:
    """The cells that train as one program each, none of them so large that a worker would have nothing to do."""
    share = max(1, -(-len(planned) // workers))
    cohorts = cohort.plan([each.spec for each in planned], largest=min(share, cohort.LARGEST))
    return [
        Group(
            cells=tuple(planned[place].spec for place in places),
            run_ids=tuple(planned[place].run_id if planned[place].action == "resume" else None for place in places),
        )
        for places in cohorts
    ]


def _longest_first(groups: list[Group]) -> list[Group]:
    """Seed by seed as before, and within a seed by the operations their training takes."""
    # Imported here because they bring torch.
    from lossbench import costs, losses

    operations: dict[tuple[DataSpec, ModelSpec], int] = {}

    def length(group: Group) -> int:
        preset = group.cells[0].preset
        shape = (preset.data, preset.model)
        if shape not in operations:
            operations[shape] = costs.estimate(preset).flops
        steps = sum(len(losses.find(cell.loss).steps) for cell in group.cells)
        return operations[shape] * preset.epochs * steps

    lengths = [length(group) for group in groups]
    if len(set(lengths)) == 1:
        return groups
    seeds = {seed: place for place, seed in reversed(list(enumerate(group.cells[0].seed for group in groups)))}
    order = sorted(range(len(groups)), key=lambda place: (seeds[groups[place].cells[0].seed], -lengths[place]))
    return [groups[place] for place in order]


def _split(values: str) -> list[str]:
    # A comma inside brackets or parentheses belongs to the value: model.hidden=[64,64], schedule=step(50,0.1).
    parts = re.split(r",(?![^\[(]*[\])])", values)
    if not all(part.strip() for part in parts):
        raise UsageError(f"grid values {values!r} hold an empty one")
    return [part.strip() for part in parts]
