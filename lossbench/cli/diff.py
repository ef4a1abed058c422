"""`lossbench diff`: in what two runs differ."""

from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, reading, show
from lossbench.cli.facts import text
from lossbench.cli.selecting import named
from lossbench.cli.terminal import note
from lossbench.errors import UsageError


@app.command("diff")
def diff(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Two runs: ids or their beginnings, names, @last, @last-1, or - for stdin."),
    ],
    everything: Annotated[bool, typer.Option("--all", help="Also what is the same.")] = False,
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """Set two runs side by side: what was asked, what came out.

    Only what differs is shown, the place where they ran included.

    \b
    Examples:
      lossbench diff @last-1 @last
      lossbench diff 7k2m baseline --all --format json
      lossbench ls --tag odd --format ids | lossbench diff -
    """
    from lossbench.render import Column, Table
    from lossbench.store import queries

    words = named(runs)
    if len(words) != 2:
        raise UsageError(f"diff takes two runs, not {len(words) or 'none'}")
    with reading(home) as store:
        details = [queries.run(store, word) for word in words]
    rows = []
    for part in ("config", "metrics", "env"):
        one, other = (dict(queries.facts(detail, part)) for detail in details)
        rows += [
            (part, name, one.get(name), other.get(name))
            for name in dict.fromkeys([*one, *other])
            if everything or one.get(name) != other.get(name)
        ]
    if not rows:
        note("the two runs do not differ")
    columns = (
        Column(key="part", title="part"),
        Column(key="name", title="name", anchor=True),
        Column(key="left", title=details[0].row.run_id),
        Column(key="right", title=details[1].row.run_id),
    )
    brief = [(part, name, *_texts(one, other)) for part, name, one, other in rows]
    show(Table(name="diff", columns=columns, rows=tuple(brief if format == "table" else rows)), format)


def _texts(one: object, other: object) -> list[str | None]:
    """Both values in few words, numbers in full where few digits would not tell them apart."""
    short = [None if value is None else text(value) for value in (one, other)]
    hidden = one != other and short[0] == short[1] and isinstance(one, float)
    return [str(one), str(other)] if hidden else short
