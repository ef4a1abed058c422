"""What the two output streams are: width, colour, and whether a person is watching. stdout is data, stderr is talk."""

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TextIO

__all__ = ["Screen", "complain", "emit", "note", "say", "screen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """How to draw on one stream; `width` and `height` are None where it has no end."""

    interactive: bool
    width: int | None
    height: int | None
    color: bool


def screen(stream: TextIO | None = None) -> Screen:
    """Look at a stream, stdout by default, and at NO_COLOR, FORCE_COLOR and TERM."""
    stream = stream or sys.stdout
    interactive = stream.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Screen(
        interactive=interactive,
        width=shutil.get_terminal_size().columns if interactive else None,
        height=shutil.get_terminal_size().lines if interactive else None,
        color=not plain and (interactive or bool(os.environ.get("FORCE_COLOR"))),
    )


def emit(text: str) -> None:
    """Write a result to stdout, as whole lines."""
    sys.stdout.write(text + "\n" if text and not text.endswith("\n") else text)
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a line to stderr; once nobody listens any more, the work goes on in silence."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def note(text: str) -> None:
    """Tell the user something that is not an error."""
    say(f"note: {text}")


def complain(text: str) -> None:
    """Say what went wrong."""
    say(f"lossbench: {text}")
