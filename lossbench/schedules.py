"""Values that change over training, and the text they are written in.

A schedule maps a `Clock` to a number. Loss knobs and the learning-rate factor use the same schedules and the
same text:

    0.3                     constant
    0,0.5                   switch: 0 for the first 95 % of the epochs, then 0.5;  0,0.5@90 moves the switch to 90 %,
                            0,0.5@e90 to the end of 90 epochs
    0-0.5                   staircase: six equal phases 0, 0.1 ... 0.5;            0-0.5/11 takes eleven
    0~0.5                   linear from the first epoch to the last
    cosine(0,0.5)           half a cosine from the first epoch to the last
    0~0.5@20:80             linear or cosine between 20 % and 80 % of the epochs, constant before and after;
                            0~0.5@e10:40 between the end of 10 epochs and the end of 40
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
    "Window",
    "parse",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where training stands: `epoch` counts from 0, `epochs` is the whole length."""

    epoch: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Window:
    """The epochs over which a value moves: from `start` to `end`, in % of all epochs or counted in epochs."""

    start: int = 0
    end: int = 100
    counted: bool = False

    def progress(self, clock: Clock) -> float:
        """0 up to the start, 1 from the end on."""
        first, last = self._ends(clock.epochs)
        return min(max(0.0, (clock.epoch - first) / max(1, last - first)), 1.0)

    def __str__(self) -> str:
        if self == Window():
            return ""
        return f"@{'e' if self.counted else ''}{self.start}:{self.end}"

    @property
    def shortest(self) -> int:
        """The fewest epochs of which the first and the last of the window are two."""
        epochs = 2
        while (ends := self._ends(epochs))[0] >= ends[1] or ends[1] >= epochs:
            epochs += 1
        return epochs

    def _ends(self, epochs: int) -> tuple[int, int]:
        if self.counted:
            return self.start, self.end
        return self.start * epochs // 100, min(self.end * epochs // 100, epochs - 1)


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
    """`first` until `percent` % of the epochs are over, or `epoch` epochs where that is given, then `last`.

    The boundary is `percent * epochs // 100` in integers, as in the published code of arXiv 2109.05635, so that
    the last phase always has an epoch.
    """

    first: float
    last: float
    percent: int = 95
    epoch: int | None = None

    def __call__(self, clock: Clock) -> float:
        boundary = self.percent * clock.epochs // 100 if self.epoch is None else self.epoch
        return self.last if clock.epoch >= boundary else self.first

    def __str__(self) -> str:
        suffix = f"@e{self.epoch}" if self.epoch is not None else "" if self.percent == 95 else f"@{self.percent}"
        return f"{_text(self.first)},{_text(self.last)}{suffix}"

    @property
    def shortest(self) -> int:
        return -(-100 // self.percent) if self.epoch is None else self.epoch + 1


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
    """From `first` in the first epoch of the window straight to `last` in its last epoch."""

    first: float
    last: float
    window: Window = Window()

    def __call__(self, clock: Clock) -> float:
        return self.first + (self.last - self.first) * self.window.progress(clock)

    def __str__(self) -> str:
        return f"{_text(self.first)}~{_text(self.last)}{self.window}"

    @property
    def shortest(self) -> int:
        return self.window.shortest


@dataclass(frozen=True, slots=True)
class Cosine:
    """From `first` in the first epoch of the window to `last` in its last epoch along half a cosine (Loshchilov &
    Hutter, arXiv 1608.03983, without restarts)."""

    first: float
    last: float
    window: Window = Window()

    def __call__(self, clock: Clock) -> float:
        return self.last + (self.first - self.last) * (1 + math.cos(math.pi * self.window.progress(clock))) / 2

    def __str__(self) -> str:
        return f"cosine({_text(self.first)},{_text(self.last)}){self.window}"

    @property
    def shortest(self) -> int:
        return self.window.shortest


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
_WINDOW = r"(?:@(e)?(\d+):(\d+))?"


def _staircase(first: str, last: str, steps: str | None) -> Staircase:
    return Staircase(float(first), float(last), int(steps) if steps else 6)


def _switch(first: str, last: str, counted: str | None, boundary: str | None) -> Switch:
    if counted and boundary:
        return Switch(float(first), float(last), epoch=int(boundary))
    return Switch(float(first), float(last), int(boundary) if boundary else 95)


def _window(counted: str | None, start: str | None, end: str | None) -> Window:
    return Window(int(start), int(end), bool(counted)) if start and end else Window()


_GRAMMAR: dict[str, Callable[..., Schedule]] = {
    rf"{_NUMBER}": lambda value: Constant(float(value)),
    rf"{_NUMBER},{_NUMBER}(?:@(e)?(\d+))?": _switch,
    rf"{_NUMBER}-{_NUMBER}(?:/(\d+))?": _staircase,
    rf"{_NUMBER}~{_NUMBER}{_WINDOW}": lambda first, last, *window: Linear(float(first), float(last), _window(*window)),
    rf"cosine\({_NUMBER},{_NUMBER}\){_WINDOW}": lambda first, last, *window: Cosine(
        float(first), float(last), _window(*window)
    ),
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
        "cosine(0,0.5), step(50,0.1) or milestones(0.1,100,150); '0,0.5@90' and 0~0.5@20:80 place a change in % of the "
        "epochs, @e90 and @e10:40 in epochs"
    )


def _check(schedule: Schedule, text: str) -> None:
    match schedule:
        case Switch(epoch=0):
            raise UsageError(f"{text!r}: the switch must come after at least 1 epoch")
        case Linear(window=window) | Cosine(window=window) if window.start >= window.end:
            raise UsageError(f"{text!r}: the window must end after it starts, got {window.start} to {window.end}")
        case Linear(window=window) | Cosine(window=window) if not window.counted and window.end > 100:
            raise UsageError(f"{text!r}: the window must end at 100 % of the epochs at most, got {window.end}")
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
