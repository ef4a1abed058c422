"""One picture of the runs that fit on a screen."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lossbench.live.values import ORDER, Live, Watched
from lossbench.render import clock
from lossbench.render.values import Tone

__all__ = ["frame", "sparkline"]

_TONES: dict[str, Tone] = {"done": "good", "interrupted": "warn", "lost": "bad", "diverged": "bad", "failed": "bad"}
_SHADES: dict[Tone, int] = {"good": 35, "bad": 160, "warn": 208, "dim": 245}
_BLOCKS = "▁▂▃▄▅▆▇█"
_TREND = 10
_BAR = 10
_NARROWEST = 6
_READABLE = 14
"""A name cut shorter than this says less than its column costs."""


def frame(watched: Watched, *, width: int, height: int, color: bool) -> str:
    """One screen: how many runs are in which state, a line per run, notes; where narrow, without what matters least."""
    counts = "  ".join(
        f"{watched.counts[status]} {status}" for status in (*ORDER, "to come") if watched.counts.get(status)
    )
    head = f"{watched.at:%H:%M:%S} UTC  {counts or 'no runs yet'}"
    foot = [*textwrap.wrap(watched.usage, width), *(f"note: {text}" for text in watched.notes)]
    runs = watched.runs[: max(1, height - len(foot) - 4)]
    hidden = watched.unlisted + len(watched.runs) - len(runs)
    if hidden > 0:
        foot.insert(0, f"and {hidden} more; `lossbench ls` lists them")
    columns = _fitting([(each, [each.text(live, watched.at) for live in runs]) for each in _COLUMNS], width)
    lines = (
        [_dim("  ".join(_aligned(column, column.title, size) for column, _, size in columns), color)] if runs else []
    )
    for index, live in enumerate(runs):
        tone = _TONES.get(live.status, "plain")
        cells = [
            _painted(_aligned(column, texts[index], size), tone if column.title == "status" else "plain", color)
            for column, texts, size in columns
        ]
        lines.append("  ".join(cells).rstrip())
    return "".join(f"{line}\n" for line in [head[:width], "", *lines, *(_dim(line[:width], color) for line in foot)])


def sparkline(values: Sequence[float]) -> str:
    """The last values as little bars between the smallest and the largest of them; a dot for NaN."""
    recent = np.array(values[-_TREND:], dtype=np.float64)
    finite = recent[np.isfinite(recent)]
    if not len(finite):
        return "·" * len(recent)
    low, span = finite.min(), finite.max() - finite.min()
    steps = np.where(np.isfinite(recent), (recent - low) / (span or 1.0) * (len(_BLOCKS) - 1), np.nan)
    return "".join("·" if math.isnan(step) else _BLOCKS[round(step)] for step in steps)


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    importance: int
    """The larger goes the sooner; 0 stays on every screen."""
    numeric: bool
    text: Callable[[Live, datetime], str]
    name: bool = False
    """Whether its texts still tell rows apart when they are cut."""


def _progress(live: Live, at: datetime) -> str:
    full = round(_BAR * live.epoch / max(1, live.epochs))
    return f"{'█' * full}{'░' * (_BAR - full)} {live.epoch}/{live.epochs}"


def _value(live: Live, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-" if value is None else str(value)
    return f"{100 * value:.2f} %" if live.measure.unit == "fraction" else f"{value:.4g}"


def _left(live: Live, at: datetime) -> str:
    return "" if live.seconds_left is None else clock(live.seconds_left)


def _silence(live: Live, at: datetime) -> str:
    """How long ago a running process last wrote to its journal."""
    if live.status != "running":
        return ""
    return clock(max(0.0, (at - live.last_at).total_seconds()))


def _device(live: Live, at: datetime) -> str:
    memory = "" if live.memory_mib is None else f" {live.memory_mib:.0f} MiB"
    return f"{live.device}{memory}"


_COLUMNS = (
    _Column("run", 4, False, lambda live, at: live.name),
    _Column("preset", 1, False, lambda live, at: live.preset, name=True),
    _Column("loss", 0, False, lambda live, at: live.loss),
    _Column("seed", 0, True, lambda live, at: str(live.seed)),
    _Column("status", 0, False, lambda live, at: live.status),
    _Column("epoch", 0, False, _progress),
    _Column("metric", 7, False, lambda live, at: live.measure.title),
    _Column("now", 0, True, lambda live, at: _value(live, live.values[-1] if live.values else None)),
    _Column("best", 3, True, lambda live, at: _value(live, live.best)),
    _Column("trend", 5, False, lambda live, at: sparkline(live.values)),
    _Column("left", 2, True, _left),
    _Column("silent", 6, True, _silence),
    _Column("device", 8, False, _device),
)

_Filled = tuple[_Column, list[str]]


def _fitting(filled: list[_Filled], width: int) -> list[tuple[_Column, list[str], int]]:
    """The columns that fit side by side with their widths: names are cut before they go, importance 0 is only cut."""
    sized = [(column, texts, max([len(column.title), *map(len, texts)])) for column, texts in filled]
    while (excess := sum(size + 2 for _, _, size in sized) - 2 - width) > 0:
        least = max(range(len(sized)), key=lambda index: sized[index][0].importance)
        column, texts, size = sized[least]
        if column.name and size - excess >= _READABLE:
            sized[least] = (column, texts, size - excess)
            break
        if column.importance:
            del sized[least]
            continue
        widest = max(range(len(sized)), key=lambda index: sized[index][2])
        column, texts, size = sized[widest]
        if size <= _NARROWEST:
            break
        sized[widest] = (column, texts, max(_NARROWEST, size - excess))
    return sized


def _within(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _aligned(column: _Column, text: str, size: int) -> str:
    text = _within(text, size)
    return text.rjust(size) if column.numeric else text.ljust(size)


def _painted(text: str, tone: Tone, color: bool) -> str:
    return f"\x1b[38;5;{_SHADES[tone]}m{text}\x1b[0m" if color and tone in _SHADES else text


def _dim(text: str, color: bool) -> str:
    return _painted(text, "dim", color)
