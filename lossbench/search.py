"""Spaces of settings and ways to search them, the same amount for every loss."""

import itertools
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from lossbench.errors import UsageError
from lossbench.spec import parse_assignment

__all__ = ["KNOB", "Dimension", "Method", "Search", "grid", "parse_space", "search"]

KNOB = "loss."
"""What a field begins with that is a knob of the loss, not a field of the preset."""

Method = Literal["grid", "random", "tpe"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One field and its values: a list, or a range that is even in the value or in its logarithm."""

    field: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    def at(self, share: float) -> str:
        """The value that far from the beginning, 0 to 1, with six significant digits."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            return f"{self.low * (self.high / self.low) ** share:.6g}"
        return f"{self.low + (self.high - self.low) * share:.6g}"


def parse_space(text: str) -> Dimension:
    """Read `field=0.5..5`, `field=log:0.01..0.3` or `field=0.01,0.005`.

    Raises:
        UsageError: it is none of these, or the range is empty.
    """
    field, values = parse_assignment(text)
    match = re.fullmatch(rf"(log:)?({_NUMBER})\.\.({_NUMBER})", values)
    if match is None:
        choices = tuple(dict.fromkeys(part.strip() for part in values.split(",")))
        if ".." in values or not all(choices):
            raise UsageError(f"space {text!r}: write FIELD=LOW..HIGH, FIELD=log:LOW..HIGH or FIELD=VALUE,VALUE")
        return Dimension(field=field, choices=choices)
    low, high, log = float(match[2]), float(match[3]), match[1] is not None
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)):
        raise UsageError(f"space {text!r}: a range goes up, and on a logarithmic scale begins above 0")
    return Dimension(field=field, low=low, high=high, log=log)


class Search(Protocol):
    """Names settings one after another and may learn from how the earlier ones did."""

    def ask(self, trial: int) -> tuple[str, ...]:
        """One value per dimension."""
        ...

    def tell(self, trial: int, score: float | None) -> None:
        """How that trial did, larger is better; None where it has no value."""
        ...


def search(method: Method, space: Sequence[Dimension], trials: int) -> Search:
    """A search of at most so many trials. The same call names the same settings, given the same scores.

    Raises:
        UsageError: TPE is asked for and Optuna is not installed, or a grid needs more trials.
    """
    match method:
        case "grid":
            return _Grid(grid(space, trials))
        case "random":
            return _Random(tuple(space))
        case "tpe":
            return _Tpe(tuple(space))


def grid(space: Sequence[Dimension], trials: int) -> list[tuple[str, ...]]:
    """The largest even grid of at most so many settings: every listed value, equally many of each range.

    Raises:
        UsageError: the listed values alone make more.
    """
    listed = math.prod(len(each.choices) for each in space if each.choices)
    if listed > trials:
        raise UsageError(f"the listed values make {listed} settings, more than --trials {trials}")
    ranges = sum(not each.choices for each in space)
    points = 1
    while ranges and listed * (points + 1) ** ranges <= trials:
        points += 1
    shares = [index / (points - 1) for index in range(points)] if points > 1 else [0.5]
    return list(itertools.product(*(each.choices or tuple(map(each.at, shares)) for each in space)))


class _Grid:
    def __init__(self, settings: list[tuple[str, ...]]) -> None:
        self._settings = settings

    def ask(self, trial: int) -> tuple[str, ...]:
        return self._settings[trial % len(self._settings)]

    def tell(self, trial: int, score: float | None) -> None:
        pass


class _Random:
    """Independent draws; a field has the same draws whatever else is searched, and so for every loss."""

    def __init__(self, space: tuple[Dimension, ...]) -> None:
        self._space = space

    def ask(self, trial: int) -> tuple[str, ...]:
        return tuple(
            each.at(float(np.random.default_rng([zlib.crc32(each.field.encode()), trial]).uniform()))
            for each in self._space
        )

    def tell(self, trial: int, score: float | None) -> None:
        pass


class _Tpe:
    """Tree-structured Parzen estimators (Bergstra et al. 2011) as Optuna has them, with a fixed seed."""

    def __init__(self, space: tuple[Dimension, ...]) -> None:
        try:
            import optuna
        except ImportError as error:
            raise UsageError("--search tpe needs Optuna: pip install 'lossbench[tune]'") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._lost = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), direction="maximize")
        self._trials: list[optuna.trial.Trial] = []

    def ask(self, trial: int) -> tuple[str, ...]:
        asked = self._study.ask()
        self._trials.append(asked)
        return tuple(
            asked.suggest_categorical(each.field, each.choices)
            if each.choices
            else each.at(asked.suggest_float(each.field, 0.0, 1.0))
            for each in self._space
        )

    def tell(self, trial: int, score: float | None) -> None:
        if score is None:
            self._study.tell(self._trials[trial], state=self._lost)
        else:
            self._study.tell(self._trials[trial], score)
