"""Planning cells and carrying the plan out. A `run` is a sweep of one cell; resuming is planning again."""

import itertools
import re
from collections.abc import Iterable, Sequence

from lossbench import presets
from lossbench.errors import UsageError
from lossbench.spec import NUMBERS_VERSION, LossRef, Preset, RunSpec, parse_assignment

__all__ = ["cells", "expand", "parse_seeds"]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `5` as the seeds 0 to 4, and `0,3,5-9` or `7,` as a list.

    Raises:
        UsageError: the text is neither, or names a seed twice.
    """
    if text.isdecimal() and int(text):
        return tuple(range(int(text)))
    seeds: list[int] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None or text.isdecimal():
            raise UsageError(f"seeds {text!r}: write a count such as 5, or a list such as 0,3,5-9")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    if not seeds:
        raise UsageError(f"seeds {text!r} names no seed; write a count such as 5, or a list such as 0,3,5-9")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds {text!r} names a seed twice")
    return tuple(seeds)


def expand(names: Iterable[str], overrides: Sequence[str], grid: Sequence[str]) -> list[Preset]:
    """Every preset, once for each combination of the `field=v1,v2` grids."""
    axes = []
    for axis in grid:
        key, values = parse_assignment(axis)
        axes.append([f"{key}={value}" for value in _split(values)])
    return [
        presets.load(name, [*overrides, *combination])
        for name in dict.fromkeys(names)
        for combination in itertools.product(*axes)
    ]


def cells(experiments: Sequence[Preset], losses: Sequence[LossRef], seeds: Sequence[int]) -> list[RunSpec]:
    """The product of presets, losses and seeds, seed by seed, so that an early stop leaves complete pairs."""
    return [
        RunSpec(preset=preset, loss=loss, seed=seed, numbers_version=NUMBERS_VERSION)
        for seed in seeds
        for preset in experiments
        for loss in dict.fromkeys(losses)
    ]


def _split(values: str) -> list[str]:
    # A comma inside brackets or parentheses belongs to the value: model.hidden=[64,64], schedule=step(50,0.1).
    parts = re.split(r",(?![^\[(]*[\])])", values)
    if not all(part.strip() for part in parts):
        raise UsageError(f"grid values {values!r} hold an empty one")
    return [part.strip() for part in parts]
