"""The list of commands in `lossbench --help`: in the order in which an experiment needs them."""

from typing import Any

from typer.core import TyperGroup

__all__ = ["SECTIONS", "Sections"]

SECTIONS = {
    "Train": ("run", "sweep", "tune", "watch", "stop", "rerun"),
    "Judge": ("compare", "plot", "report", "flips", "power", "aa", "claims"),
    "Runs": ("ls", "show", "diff", "set", "rm", "restore", "sql", "export", "import"),
    "What there is": ("presets", "losses", "data"),
    "Upkeep": ("store", "doctor"),
}
"""Titles and commands"""


class Sections(TyperGroup):
    """A group of commands whose help lists them under titles."""

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
