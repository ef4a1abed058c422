"""`lossbench doctor`: what could keep runs from succeeding here."""

import typer

from lossbench.cli.app import DataDirOption, FormatOption, HomeOption, app, show
from lossbench.errors import ExitCode
from lossbench.home import find_home


@app.command("doctor")
def doctor(home: HomeOption = None, data_dir: DataDirOption = None, format: FormatOption = "table") -> None:
    """Look at device, libraries, data, store, locks, disk and limits.

    Locks are tried between two processes. The exit code is 1 if anything is bad.

    \b
    Examples:
      lossbench doctor
      lossbench doctor --home /mnt/shared/project --format json
    """
    from lossbench.data import data_folder
    from lossbench.doctor import examine
    from lossbench.render import Column, Table

    checks = list(examine(find_home(home), data_folder(data_dir)))
    columns = (
        Column(key="what", title="looked at", anchor=True),
        Column(key="verdict", title="verdict", tones={"good": "good", "bad": "bad", "warn": "warn"}),
        Column(key="found", title="found"),
    )
    rows = tuple((each.what, each.verdict, each.found) for each in checks)
    show(Table(name="doctor", columns=columns, rows=rows), format)
    if any(each.verdict == "bad" for each in checks):
        raise typer.Exit(ExitCode.FAILED)
