"""Where a loss takes its knobs from, and the text in which a user changes that.

A knob has one of four sources. `Fixed` is a number, word or switch; `Scheduled` follows the clock; `Learned` is a
parameter trained with the model; `FromData` is computed once from the training targets. A number in a text refines a
source without leaving it; `fixed(..)`, `learned(..)` and the schedules of `lossbench.schedules` change the kind.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from lossbench import schedules
from lossbench.errors import UsageError, unknown
from lossbench.schedules import Clock, Constant, Schedule
from lossbench.spec import LossRef

__all__ = [
    "ANY",
    "SWITCH",
    "Declared",
    "Fixed",
    "FromData",
    "Interval",
    "Learned",
    "Scheduled",
    "Source",
    "Style",
    "Whole",
    "Words",
    "above",
    "as_declared",
    "at_least",
    "canonical",
    "nothing_wrong",
    "settled",
    "sources_of",
    "text_of",
    "value_at",
    "within",
]

Style = Literal["range", "free", "square", "exp", "softmax"]
"""How a learned knob's raw parameter becomes its value; `range` maps all reals one to one onto the legal interval."""

_STYLES: tuple[Style, ...] = ("range", "free", "square", "exp", "softmax")


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers between two ends, of which either may be left out."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    exact: bool = False
    """Whether a value must never be rounded to the type of the logits."""

    def __contains__(self, value: float) -> bool:
        above_low = value > self.low if self.low_open else value >= self.low
        below_high = value < self.high if self.high_open else value <= self.high
        return math.isfinite(value) and above_low and below_high

    def __str__(self) -> str:
        low = "" if self.low == -math.inf else f"{'above' if self.low_open else 'at least'} {self.low:g}"
        high = "" if self.high == math.inf else f"{'below' if self.high_open else 'at most'} {self.high:g}"
        return " and ".join(filter(None, (low, high))) or "any finite number"


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole numbers from `low` on."""

    low: int

    def __contains__(self, value: float) -> bool:
        return float(value).is_integer() and value >= self.low

    def __str__(self) -> str:
        return f"a whole number of at least {self.low}"


@dataclass(frozen=True, slots=True)
class Words:
    """One of a few words."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return " | ".join(self.words)


Domain = Interval | Whole | Words

ANY = Interval()
SWITCH = Words(("false", "true"))


def at_least(low: float) -> Interval:
    """The numbers from `low` on."""
    return Interval(low)


def above(low: float) -> Interval:
    """The numbers greater than `low`."""
    return Interval(low, low_open=True)


def within(low: float, high: float, *, low_open: bool = False, high_open: bool = False) -> Interval:
    """The numbers from `low` to `high`."""
    return Interval(low, high, low_open, high_open)


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same value in every epoch; None where a knob may be left unset."""

    value: float | bool | str | None
    domain: Domain = ANY

    def __str__(self) -> str:
        return text_of(self.value)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A function of the clock."""

    schedule: Schedule
    domain: Domain = ANY

    def __str__(self) -> str:
        return str(self.schedule)


@dataclass(frozen=True, slots=True)
class Learned:
    """A parameter trained beside the model, without weight decay; `initial` is the value it starts from."""

    initial: float
    domain: Domain = ANY
    style: Style = "range"
    lr: float | None = None
    """Its own learning rate; the model's where None."""

    def __str__(self) -> str:
        style = "" if self.style == "range" else f",{self.style}"
        rate = "" if self.lr is None else f",lr={text_of(self.lr)}"
        return f"learned({text_of(self.initial)}{style}{rate})"


@dataclass(frozen=True, slots=True)
class FromData:
    """A tensor computed once from the training targets and the number of classes."""

    read: Callable[[Any, int], Any]
    """From the training targets [N] and the number of classes."""
    meaning: str

    def __str__(self) -> str:
        return self.meaning


Source = Fixed | Scheduled | Learned | FromData


def text_of(value: float | bool | str | None) -> str:
    """A knob value as canonical text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:.12g}"


class Declared(Protocol):
    """What is known about the knobs of a loss before anything is computed."""

    @property
    def name(self) -> str: ...
    @property
    def paper(self) -> str:
        """Its source, as error messages name it."""

    @property
    def knobs(self) -> Mapping[str, Source]: ...
    @property
    def spell(self) -> Callable[[dict[str, str]], dict[str, str]]:
        """Turns other spellings of its knobs into the declared ones."""

    @property
    def fault(self) -> Callable[[Mapping[str, Source]], str | None]:
        """What is wrong with knobs that are each in range but do not go together."""


def as_declared(texts: dict[str, str]) -> dict[str, str]:
    """The spelling of a loss whose knobs have no other names."""
    return texts


def nothing_wrong(sources: Mapping[str, Source]) -> str | None:
    """The fault of a loss whose knobs always go together."""
    return None


def canonical(entry: Declared, asked: LossRef) -> LossRef:
    """The reference to a loss by its full name, with only the knobs that differ from the declared ones.

    Raises:
        UsageError: an unknown knob, a value out of range, or knobs that do not go together.
    """
    texts = entry.spell(dict(asked.knobs))
    chosen = {knob: _refined(entry, knob, text) for knob, text in texts.items()}
    if fault := entry.fault({**entry.knobs, **chosen}):
        raise UsageError(f"{entry.name}: {fault}")
    changed = {knob: str(source) for knob, source in chosen.items() if str(source) != str(entry.knobs[knob])}
    return LossRef(entry.name, tuple(sorted(changed.items())), asked.code)


def sources_of(entry: Declared, ref: LossRef) -> dict[str, Source]:
    """The source of each knob, as a canonical reference changes it."""
    return {**entry.knobs, **{knob: _refined(entry, knob, text) for knob, text in ref.knobs}}


def value_at(source: Fixed | Scheduled, clock: Clock) -> float | bool | str | None:
    """The value of a knob in one epoch."""
    value = source.value if isinstance(source, Fixed) else source.schedule(clock)
    return round(value) if isinstance(source.domain, Whole) and isinstance(value, float) else value


def settled(source: Fixed | Scheduled | Learned) -> float | bool | str | None:
    """The value of a knob to look at without training: as in the last epoch, or where learning starts."""
    return source.initial if isinstance(source, Learned) else value_at(source, _LAST)


_LAST = Clock(epoch=99, epochs=100)


def _refined(entry: Declared, knob: str, text: str) -> Source:
    if knob not in entry.knobs:
        raise (
            unknown(f"knob of {entry.name}", knob, entry.knobs)
            if entry.knobs
            else UsageError(f"{entry.name} has no knobs, got {knob}={text}")
        )
    return _refine(entry.knobs[knob], text, f"{entry.name}: {knob}", entry.paper)


def _refine(declared: Source, text: str, label: str, paper: str) -> Source:
    if isinstance(declared, FromData):
        raise UsageError(f"{label} is computed from the training data ({declared.meaning}) and cannot be set")
    domain = declared.domain
    if isinstance(domain, Words):
        if text not in domain.words:
            raise unknown(f"value of {label}", text, domain.words)
        return Fixed(text == "true", domain) if domain == SWITCH else Fixed(text, domain)
    if text == "none" and isinstance(declared, Fixed) and declared.value is None:
        return declared
    source = _numeric(declared, domain, text, label)
    for value in _reached(source):
        if value not in domain:
            raise UsageError(f"{label} must be {domain} ({paper}), got {text_of(value)}")
    return source


def _numeric(declared: Fixed | Scheduled | Learned, domain: Interval | Whole, text: str, label: str) -> Source:
    if match := re.fullmatch(r"learned\((.*)\)", text):
        if isinstance(domain, Whole):
            raise UsageError(f"{label} is a whole number and cannot be learned")
        return _learned(match[1], domain, label)
    if match := re.fullmatch(r"fixed\((.*)\)", text):
        return Fixed(_number(match[1], label), domain)
    try:
        schedule = schedules.parse(_plain(text))
    except UsageError as error:
        raise UsageError(f"{label}: {error}") from None
    if not isinstance(schedule, Constant):
        return Scheduled(schedule, domain)
    if isinstance(declared, Learned):
        return replace(declared, initial=schedule.value)
    return Fixed(schedule.value, domain)


def _learned(text: str, domain: Interval, label: str) -> Learned:
    first, *rest = (part.strip() for part in text.split(","))
    made = Learned(_number(first, label), domain)
    for part in rest:
        if match := re.fullmatch(r"lr\s*=\s*(.+)", part):
            rate = _number(match[1], label)
            if rate not in above(0):
                raise UsageError(f"{label}: the learning rate must be above 0, got {text_of(rate)}")
            made = replace(made, lr=rate)
        elif part in _STYLES:
            made = replace(made, style=part)
        else:
            raise unknown(f"style of a learned {label}", part, _STYLES)
    if made.style in ("square", "exp", "softmax") and made.initial <= 0:
        raise UsageError(f"{label}: the {made.style} style starts above 0, got {text_of(made.initial)}")
    if made.style == "range" and made.initial in (domain.low, domain.high):
        # The ends of an interval are at infinity of the raw parameter, where nothing can be learned.
        raise UsageError(f"{label}: a learned value must start inside its range, got {text_of(made.initial)}")
    return made


def _number(text: str, label: str) -> float:
    try:
        return float(_plain(text))
    except ValueError:
        raise UsageError(f"{label}: {text!r} is not a number") from None


def _plain(text: str) -> str:
    """The text with the two constants papers write, e and ln(x), as decimal numbers."""
    if text == "e":
        return repr(math.e)
    if (match := re.fullmatch(r"ln\((\d+\.?\d*(?:[eE][+-]?\d+)?)\)", text)) and 0 < float(match[1]) < math.inf:
        return repr(math.log(float(match[1])))
    return text


def _reached(source: Source) -> tuple[float, ...]:
    """The values a source takes at its extremes."""
    match source:
        case Fixed(value=float() | int() as value):
            return (value,)
        case Learned(initial=value):
            return (value,)
        case Scheduled(schedule=schedules.Step(factor=factor) | schedules.Milestones(factor=factor)):
            return (1.0, factor)
        case Scheduled(schedule=Constant(value=value)):
            return (value,)
        case Scheduled(
            schedule=schedules.Switch(first=first, last=last)
            | schedules.Staircase(first=first, last=last)
            | schedules.Linear(first=first, last=last)
            | schedules.Cosine(first=first, last=last)
        ):
            return (first, last)
        case _:
            return ()
