"""The list of commands in `lossbench --help`: in the order in which an experiment needs them, and where each is."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from typer.core import TyperGroup

__all__ = ["SECTIONS", "SOON_DONE", "ReaderGoneError", "Sections", "load"]

SECTIONS = {
    "Train": ("run", "sweep", "tune", "watch", "stop", "rerun"),
    "Judge": ("compare", "plot", "report", "flips", "power", "aa", "claims"),
    "Runs": ("ls", "show", "diff", "set", "rm", "restore", "sql", "export", "import"),
    "What there is": ("presets", "losses", "data"),
    "Upkeep": ("store", "doctor"),
}
"""Titles and commands"""

SOON_DONE = frozenset(("run", "sweep", *SECTIONS["Judge"], *SECTIONS["Runs"]))
"""Commands that end before garbage could pile up; for those that train, that holds until their first event."""

_MODULES = {"set": "marks", "rm": "marks", "restore": "marks", "export": "exchange", "import": "exchange"}
"""Of the commands that share one; every other has one of its own name."""


def load(command: str = "") -> None:
    """Import a command so that the application knows it; all of them where it is none.

    Those that are not called would take as long to import as the one that is takes to answer.
    """
    names = [name for names in SECTIONS.values() for name in names]
    for name in [command] if command in names else names:
        import_module(f"lossbench.cli.{_MODULES.get(name, name)}")


class ReaderGoneError(Exception):
    """Whoever read what a command prints has gone, as in `lossbench ls | head`."""


@contextmanager
def _reader() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error


class Sections(TyperGroup):
    """A group of commands whose help lists them under titles."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line, help and version included.

        Raises:
            ReaderGoneError: as for `invoke`.
        """
        with _reader():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            ReaderGoneError: in place of the broken pipe, of which Typer would make the exit code of a failed run.
        """
        with _reader():
            # What has been imported so far stays, and is passed over when the interpreter looks for garbage as it ends.
            gc.freeze()
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command, in the order of the sections."""
        return [name for names in SECTIONS.values() for name in names]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one list per section, all with the same columns."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            commands = {name: self.commands[name] for name in names}
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(width), command.get_short_help_str(formatter.width - width - 4))
                        for name, command in commands.items()
                    ]
                )
