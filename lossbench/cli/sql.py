"""`lossbench sql`: a question of one's own."""

from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, reading, show


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(metavar="SELECT", help="One SELECT over the views run, epoch, final and cell.")
    ],
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """Ask the store in SQL; read-only, with no access to other files.

    \b
    Examples:
      lossbench sql "select preset, loss, count(*) as runs from run group by all order by all"
      lossbench sql "select epoch, avg(value) from epoch where split='val' and name='nll' group by 1 order by 1" -f csv
    """
    from lossbench.render import Column, Table

    with reading(home) as store:
        answer = store.sql(query)
    columns = tuple(Column(key=name, title=name, anchor=place == 0) for place, name in enumerate(answer.columns))
    show(Table(name="sql", columns=columns, rows=tuple(answer.rows)), format)
