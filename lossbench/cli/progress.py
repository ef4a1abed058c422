"""What a person sees on stderr while runs train: a live screen in a terminal, lines in a pipe."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lossbench.cli.signals import NOTICE, Stop
from lossbench.cli.terminal import say, screen
from lossbench.events import EpochDone, EpochMetrics, Event, RunEnded, RunStarted

__all__ = ["follow"]

QUIET_SECONDS = 10.0
"""In a sweep, a run that goes on prints an epoch line at most this often."""

VISIBLE_RUNS = 8
"""How many runs a terminal shows at a time; the rest are counted."""


@dataclass(slots=True, kw_only=True)
class _Running:
    label: str
    epochs: int
    from_epoch: int
    since: float
    spoke: float
    epoch: int = 0
    figures: str = ""

    def take(self, metrics: EpochMetrics) -> None:
        self.epoch = metrics.epoch
        self.figures = _figures(metrics)

    @property
    def seconds_left(self) -> float:
        done = self.epoch - self.from_epoch
        return (time.monotonic() - self.since) / done * (self.epochs - self.epoch) if done else 0.0


@contextmanager
def follow(runs: int, stop: Stop, *, plain: bool) -> Iterator[Callable[[Event], None]]:
    """A function that shows each event of `runs` runs, and the wish to stop, until the block ends."""
    if plain or not screen(sys.stderr).interactive:
        yield _lines(every_epoch=runs == 1, pause=QUIET_SECONDS)
        return
    with _screen(runs, stop) as show:
        yield show


def _begin(event: RunStarted) -> _Running:
    spec, now = event.spec, time.monotonic()
    return _Running(
        label=f"{spec['preset']['name']}  {spec['loss']['text']}  seed {spec['seed']}",
        epochs=spec["preset"]["epochs"],
        from_epoch=event.from_epoch,
        epoch=event.from_epoch,
        since=now,
        spoke=now,
    )


def _lines(*, every_epoch: bool, pause: float) -> Callable[[Event], None]:
    running: dict[str, _Running] = {}

    def show(event: Event) -> None:
        match event:
            case RunStarted(run_id=run_id):
                run = running[run_id] = _begin(event)
                resumed = f", resumed after epoch {event.from_epoch}" if event.from_epoch else ""
                if every_epoch or resumed:
                    say(f"{run.label}  started as {run_id}{resumed}")
            case EpochDone(run_id=run_id, metrics=metrics):
                run = running[run_id]
                run.take(metrics)
                now = time.monotonic()
                if every_epoch or now - run.spoke >= pause:
                    run.spoke = now
                    say(_line(run))
            case RunEnded(run_id=run_id, status=status, reason=reason) if run_id in running:
                run = running.pop(run_id)
                say(f"{run.label if every_epoch else _line(run)}  {status}" + (f": {reason}" if reason else ""))

    return show


@contextmanager
def _screen(runs: int, stop: Stop) -> Iterator[Callable[[Event], None]]:
    """The runs that train now, drawn anew below the lines of those that have ended; gone when the block ends."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from lossbench.live import Told, frame
    from lossbench.usage import Meter

    told, meter = Told(planned=runs), Meter()
    line = _lines(every_epoch=False, pause=math.inf)

    def picture() -> Text:
        # Asked anew each time: the terminal may have been resized.
        now = screen(sys.stderr)
        rows = min(now.height or 24, VISIBLE_RUNS + 5)
        watched = told.watched(at=datetime.now(UTC), usage=meter.read())
        if stop.received is not None:
            watched = replace(watched, notes=(*watched.notes, NOTICE))
        text = frame(watched, width=now.width or 80, height=rows, color=now.color)
        return Text.from_ansi(text, no_wrap=True)

    def show(event: Event) -> None:
        told.take(event)
        line(event)

    live = Live(console=Console(stderr=True), get_renderable=picture, refresh_per_second=2, transient=True)
    live.start()
    stop.shown_elsewhere = True
    try:
        yield show
    finally:
        stop.shown_elsewhere = False
        # A terminal that has gone away must not turn a run that is done into one that failed.
        with contextlib.suppress(OSError):
            live.stop()


def _line(run: _Running) -> str:
    left = f"  {_clock(run.seconds_left)} left" if 0 < run.epoch < run.epochs else ""
    return f"{run.label}  epoch {run.epoch}/{run.epochs}  {run.figures}{left}"


def _figures(metrics: EpochMetrics) -> str:
    values = metrics.values
    split = "val" if "val/top1_acc" in values else "test"
    shown = [f"loss {values['train/objective']:.4f}"] if "train/objective" in values else []
    if f"{split}/top1_acc" in values:
        shown.append(f"{split} top-1 {100 * values[f'{split}/top1_acc']:.2f} %")
    return "  ".join(shown)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
