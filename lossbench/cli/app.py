"""The Typer application, the options commands share, and the one place where errors become exit codes."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lossbench import __version__, cores
from lossbench.cli import terminal
from lossbench.cli.limits import check_open_files
from lossbench.cli.sections import SOON_DONE, ReaderGoneError, Sections, load
from lossbench.errors import ExitCode, LossbenchError, UsageError

if TYPE_CHECKING:
    from lossbench.render import Document, Table
    from lossbench.store import Store

__all__ = [
    "DataDirOption",
    "Format",
    "FormatOption",
    "HomeOption",
    "LossFilter",
    "PresetFilter",
    "SetOption",
    "TagFilter",
    "WhereOption",
    "app",
    "main",
    "reading",
    "show",
    "show_document",
]

# Plain help reads the same in a terminal and in a pipe, and starts twice as fast as the boxed one.
app = typer.Typer(
    cls=Sections,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Format = Literal["table", "json", "jsonl", "csv", "md", "latex"]

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print the result.")]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Folder of the runs. [default: LOSSBENCH_HOME, else the nearest .lossbench upwards, else ./.lossbench]",
        show_default=False,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder of the data sets. [default: LOSSBENCH_DATA, else the user's cache folder]",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="FIELD=VALUE",
        help="Change a field of the preset, such as optimizer.lr=0.05; repeatable.",
        show_default=False,
    ),
]
PresetFilter = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PRESET", help="Presets, as names or patterns such as 'uci-*'. [default: all]", show_default=False
    ),
]
LossFilter = Annotated[
    list[str] | None,
    typer.Option("--loss", "-l", metavar="LOSS", help="Only these losses; repeatable.", show_default=False),
]
TagFilter = Annotated[
    list[str] | None,
    typer.Option("--tag", "-t", metavar="WORD", help="Only runs with this tag; repeatable.", show_default=False),
]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="SQL",
        help="Only runs for which this SQL expression over the `run` view holds.",
        show_default=False,
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lossbench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Does a classification loss beat the baseline, by how much, and how many more seeds does it take to know?

    \b
    Examples:
      lossbench run digits-mlp --loss adaptive
      lossbench sweep digits-mlp --loss ce --loss adaptive --seeds 5
      lossbench compare
      lossbench plot
    """


@contextmanager
def reading(home: Path | None) -> Iterator["Store"]:
    """The store of a home, open for reading; what it has to say goes to stderr."""
    from lossbench.home import find_home
    from lossbench.store import Store

    with Store.open(find_home(home)) as store:
        for text in store.notes:
            terminal.note(text)
        yield store


def show(table: "Table", format: Format) -> None:
    """Print a table to stdout in the form the stream and the user ask for."""
    from lossbench import render

    screen = terminal.screen()
    terminal.emit(render.table(table, format, width=screen.width, color=screen.color))


def show_document(document: "Document", format: Format, *, digits: int | None = None) -> None:
    """Print a document to stdout, likewise."""
    from lossbench import render

    screen = terminal.screen()
    terminal.emit(render.document(document, format, width=screen.width, color=screen.color, digits=digits))


def _refuse(message: str) -> None:
    """Say what Typer has against the command line, like everything else that is wrong."""
    # Where a group is called without a command, that is its help.
    if "\n" in message:
        terminal.say(message)
    else:
        # The checks of values come from pydantic, which says so.
        message = message.replace("Value error, ", "")
        terminal.complain(message[0].lower() + message[1:])


def _check_text(words: list[str]) -> None:
    """
    Raises:
        UsageError: one of the words is not UTF-8, and what is recorded of it could not be read back.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{os.fsencode(word).decode(errors='backslashreplace')} is no text in UTF-8") from None


def main() -> None:
    """Run the command line; what is wrong with it becomes one line on stderr and an exit code."""
    try:
        check_open_files()
        _check_text(sys.argv[1:])
        cores.patiently()
        if SOON_DONE.intersection(sys.argv[1:2]):
            # What is imported stays; looking for garbage among it takes more than a tenth of such a command's time.
            gc.disable()
        load(*sys.argv[1:2])
        sys.exit(app(prog_name="lossbench", standalone_mode=False))
    except LossbenchError as error:
        terminal.complain(str(error))
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        _refuse(error.format_message())
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(ExitCode.INTERRUPTED)
    except RuntimeError as error:
        # What DuckDB makes of a KeyboardInterrupt that comes while it is at work.
        if str(error) != "Query interrupted":
            raise
        sys.exit(ExitCode.INTERRUPTED)
    except ReaderGoneError:
        # Leave as quietly as other Unix programs do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    finally:
        # With this the interpreter looks for garbage less often as it ends.
        gc.disable()
