"""Values that change over training, and the text they are written in.

A schedule maps a `Clock` to a number. Loss knobs and the learning-rate factor use the same schedules and the
same text:

    0.3                     constant
    0,0.5                   switch: 0 for the first 95 % of the epochs, then 0.5;  0,0.5@90 moves the switch
    0-0.5                   staircase: six equal phases 0, 0.1 ... 0.5;            0-0.5/11 takes eleven
    0~0.5                   linear from the first epoch to the last
    cosine(0,0.5)           half a cosine from the first epoch to the last
    step(50,0.1)            times 0.1 after every 50 epochs, starting from 1
    milestones(0.1,100,150) times 0.1 from each named epoch on, starting from 1
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from lossbench.errors import UsageError

__all__ = [
    "Clock",
    "Constant",
    "Cosine",
    "Linear",
    "Milestones",
    "Schedule",
    "Staircase",
    "Step",
    "Switch",
    "parse",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where training stands: `epoch` counts from 0, `epochs` is the whole length."""

    epoch: int
    epochs: int

    @property
    def progress(self) -> float:
        """0 in the first epoch, 1 in the last."""
        return self.epoch / max(1, self.epochs - 1)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value throughout."""

    value: float

    def __call__(self, clock: Clock) -> float:
        return self.value

    def __str__(self) -> str:
        return _text(self.value)

    @property
    def shortest(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Switch:
    """`first` until `percent` % of the epochs are over, then `last`.

    The boundary is `percent * epochs // 100` in integers, as in the published code of arXiv 2109.05635, so that
    the last phase always has an epoch.
    """

    first: float
    last: float
    percent: int = 95

    def __call__(self, clock: Clock) -> float:
        return self.last if clock.epoch >= self.percent * clock.epochs // 100 else self.first

    def __str__(self) -> str:
        suffix = "" if self.percent == 95 else f"@{self.percent}"
        return f"{_text(self.first)},{_text(self.last)}{suffix}"

    @property
    def shortest(self) -> int:
        return -(-100 // self.percent)


@dataclass(frozen=True, slots=True)
class Staircase:
    """`steps` values evenly spaced from `first` to `last`, each for an equal share of the epochs.

    With f = epochs // steps, the first phase lasts f epochs and the rest share what remains, in the integer
    arithmetic of the published code of arXiv 2109.05635.
    """

    first: float
    last: float
    steps: int = 6

    def __call__(self, clock: Clock) -> float:
        opening = clock.epochs // self.steps
        if clock.epoch < opening:
            return self.first
        phase = 1 + (clock.epoch - opening) * (self.steps - 1) // (clock.epochs - opening)
        # Rounding to twelve digits keeps 0.1 * 3 from becoming 0.30000000000000004 in stores and labels.
        return round(self.first + (self.last - self.first) * phase / (self.steps - 1), 12)

    def __str__(self) -> str:
        suffix = "" if self.steps == 6 else f"/{self.steps}"
        return f"{_text(self.first)}-{_text(self.last)}{suffix}"

    @property
    def shortest(self) -> int:
        return self.steps


@dataclass(frozen=True, slots=True)
class Linear:
    """From `first` in the first epoch straight to `last` in the last epoch."""

    first: float
    last: float

    def __call__(self, clock: Clock) -> float:
        return self.first + (self.last - self.first) * clock.progress

    def __str__(self) -> str:
        return f"{_text(self.first)}~{_text(self.last)}"

    @property
    def shortest(self) -> int:
        return 2


@dataclass(frozen=True, slots=True)
class Cosine:
    """From `first` in the first epoch to `last` in the last epoch along half a cosine (Loshchilov & Hutter,
    arXiv 1608.03983, without restarts)."""

    first: float
    last: float

    def __call__(self, clock: Clock) -> float:
        return self.last + (self.first - self.last) * (1 + math.cos(math.pi * clock.progress)) / 2

    def __str__(self) -> str:
        return f"cosine({_text(self.first)},{_text(self.last)})"

    @property
    def shortest(self) -> int:
        return 2


@dataclass(frozen=True, slots=True)
class Step:
    """1, times `factor` after every `every` epochs."""

    every: int
    factor: float

    def __call__(self, clock: Clock) -> float:
        return float(self.factor ** (clock.epoch // self.every))

    def __str__(self) -> str:
        return f"step({self.every},{_text(self.factor)})"

    @property
    def shortest(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Milestones:
    """1, times `factor` from each of `epochs` (0-based) on."""

    factor: float
    epochs: tuple[int, ...]

    def __call__(self, clock: Clock) -> float:
        return float(self.factor ** sum(clock.epoch >= epoch for epoch in self.epochs))

    def __str__(self) -> str:
        return f"milestones({_text(self.factor)},{','.join(map(str, self.epochs))})"

    @property
    def shortest(self) -> int:
        return 1


Schedule = Constant | Switch | Staircase | Linear | Cosine | Step | Milestones
"""A function of the clock. `str()` gives its text back; `shortest` is the fewest epochs that leave no phase empty."""

_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"


def _staircase(first: str, last: str, steps: str | None) -> Staircase:
    return Staircase(float(first), float(last), int(steps) if steps else 6)


def _switch(first: str, last: str, percent: str | None) -> Switch:
    return Switch(float(first), float(last), int(percent) if percent else 95)


_GRAMMAR: dict[str, Callable[..., Schedule]] = {
    rf"{_NUMBER}": lambda value: Constant(float(value)),
    rf"{_NUMBER},{_NUMBER}(?:@(\d+))?": _switch,
    rf"{_NUMBER}-{_NUMBER}(?:/(\d+))?": _staircase,
    rf"{_NUMBER}~{_NUMBER}": lambda first, last: Linear(float(first), float(last)),
    rf"cosine\({_NUMBER},{_NUMBER}\)": lambda first, last: Cosine(float(first), float(last)),
    rf"step\((\d+),{_NUMBER}\)": lambda every, factor: Step(int(every), float(factor)),
    rf"milestones\({_NUMBER}((?:,\d+)+)\)": lambda factor, epochs: Milestones(
        float(factor), tuple(int(epoch) for epoch in epochs.strip(",").split(","))
    ),
}


def parse(text: str) -> Schedule:
    """Read a schedule from its text.

    Raises:
        UsageError: the text is not a schedule, or describes one that cannot be.
    """
    compact = text.replace(" ", "")
    for pattern, build in _GRAMMAR.items():
        if match := re.fullmatch(pattern, compact):
            schedule = build(*match.groups())
            _check(schedule, text)
            return schedule
    raise UsageError(
        f"{text!r} is not a number or schedule; write 0.3, '0,0.5' (switch), 0-0.5 (staircase), 0~0.5 (linear), "
        "cosine(0,0.5), step(50,0.1) or milestones(0.1,100,150)"
    )


def _check(schedule: Schedule, text: str) -> None:
    match schedule:
        case Switch(percent=percent) if not 0 < percent < 100:
            raise UsageError(f"{text!r}: the switch must lie between 1 and 99 % of the epochs, got {percent}")
        case Staircase(steps=steps) if steps < 2:
            raise UsageError(f"{text!r}: a staircase needs at least 2 steps, got {steps}")
        case Step(every=every) if every < 1:
            raise UsageError(f"{text!r}: a step needs at least 1 epoch, got {every}")
        case Milestones(epochs=epochs) if list(epochs) != sorted(set(epochs)):
            raise UsageError(f"{text!r}: milestones must rise, got {', '.join(map(str, epochs))}")
        case _:
            return


def _text(value: float) -> str:
    return f"{value:.12g}"
