"""`lossbench data`: which data sets are at hand, fetching and verifying them."""

from typing import Annotated

import typer

from lossbench.cli.app import DataDirOption, FormatOption, app, show
from lossbench.cli.preparing import shown
from lossbench.cli.terminal import emit, note

data_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
app.add_typer(data_app, name="data")

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="DATASET", help="Data sets, as names or patterns such as 'cifar*'.", show_default=False),
]
SomeArgument = Annotated[
    list[str], typer.Argument(metavar="DATASET...", help="Data sets, as names or patterns such as 'cifar*'.")
]


@data_app.callback()
def data() -> None:
    """List, fetch and verify data sets.

    \b
    Examples:
      lossbench data ls
      lossbench data fetch cifar100
      lossbench data verify 'uci-*' --data-dir /data/sets
    """


@data_app.command("ls")
def list_data(names: NamesArgument = None, data_dir: DataDirOption = None, format: FormatOption = "table") -> None:
    """List the data sets: size, licence, and whether they are in the data folder.

    \b
    Examples:
      lossbench data ls
      lossbench data ls 'cifar*' --format json
    """
    from lossbench.data import data_folder, inventory
    from lossbench.render import Column, Table

    folder = data_folder(data_dir)
    found = [inventory.held(source, folder) for source in inventory.matching(names or ())]
    rows = tuple(
        (
            each.source.name,
            each.source.kind,
            each.source.rows,
            each.source.classes,
            each.state,
            each.size and each.size / 2**20,
            each.source.licence,
            each.source.title,
            each.source.origin,
            each.path and str(each.path),
        )
        for each in found
    )
    columns = (
        Column(key="data", title="data set", anchor=True),
        Column(key="kind", title="kind"),
        Column(key="rows", title="rows", kind="integer"),
        Column(key="classes", title="classes", kind="integer"),
        Column(key="state", title="state", tones={"missing": "dim"}),
        Column(key="mib", title="size", kind="number", unit="MiB", digits=1),
        Column(key="licence", title="licence"),
        Column(key="title", title="title", hidden=True),
        Column(key="origin", title="origin", hidden=True),
        Column(key="path", title="path", hidden=True),
    )
    show(Table(name="data", columns=columns, rows=rows), format)


@data_app.command()
def fetch(names: SomeArgument, data_dir: DataDirOption = None) -> None:
    """Download data sets that are not there yet, check their checksums, and prepare them for training.

    \b
    Examples:
      lossbench data fetch cifar100
      lossbench data fetch cifar100 --data-dir /data/sets
    """
    from lossbench.data import data_folder, inventory

    folder = data_folder(data_dir)
    with shown():
        for source in inventory.matching(names):
            if source.layout and source.found(folder) is None:
                note(f"{source.name}: fetching from {source.origin}")
            source.read(folder)
            note(f"{source.name}: ready")


@data_app.command()
def verify(names: SomeArgument, data_dir: DataDirOption = None) -> None:
    """Read data sets whole and compare them with their checksums.

    \b
    Examples:
      lossbench data verify cifar100
      lossbench data verify 'uci-*' --data-dir /data/sets
    """
    from lossbench.data import data_folder, inventory

    folder = data_folder(data_dir)
    for source in inventory.matching(names):
        with shown():
            found = inventory.verify(source, folder)
        emit(f"{source.name}: {found}")


@data_app.command()
def path(data_dir: DataDirOption = None) -> None:
    """Print the data folder.

    \b
    Examples:
      lossbench data path
    """
    from lossbench.data import data_folder

    emit(str(data_folder(data_dir)))
