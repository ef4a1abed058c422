"""`lossbench presets`: the experiments that can be run by name."""

from fnmatch import fnmatchcase
from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, SetOption, app, show
from lossbench.cli.terminal import emit
from lossbench.errors import NothingFound

presets_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(presets_app, name="presets")


@presets_app.callback()
def presets(
    context: typer.Context,
    data: Annotated[str, typer.Option("--data", metavar="PATTERN", help="Only presets on this data set.")] = "*",
    model: Annotated[str, typer.Option("--model", metavar="PATTERN", help="Only presets of this model.")] = "*",
    format: FormatOption = "table",
) -> None:
    """List the presets.

    \b
    Examples:
      lossbench presets
      lossbench presets --data cifar100 --model 'resnet*'
      lossbench presets show digits-mlp
    """
    if context.invoked_subcommand is not None:
        return
    from lossbench.presets import available, load
    from lossbench.render import Column, Table

    loaded = [load(name) for name in available()]
    rows = tuple(
        (each.name, each.data.name, each.model.name, each.epochs, each.metric.name, each.metric.at, each.title)
        for each in loaded
        if fnmatchcase(each.data.name, data) and fnmatchcase(each.model.name, model)
    )
    if not rows:
        raise NothingFound(f"no preset has data {data!r} and model {model!r}")
    columns = (
        Column(key="preset", title="preset", anchor=True),
        Column(key="data", title="data"),
        Column(key="model", title="model"),
        Column(key="epochs", title="epochs", kind="integer"),
        Column(key="metric", title="metric"),
        Column(key="at", title="at"),
        Column(key="title", title="title"),
    )
    show(Table(name="presets", columns=columns, rows=rows), format)


@presets_app.command("show")
def show_preset(
    name: Annotated[str, typer.Argument(metavar="PRESET", help="A preset's name or the path of a TOML file.")],
    overrides: SetOption = None,
) -> None:
    """Print a preset as TOML, with the source of every number, and what it costs; with --set, what a run would use.

    \b
    Examples:
      lossbench presets show cifar100-resnet18
      lossbench presets show cifar100-resnet18 -s epochs=2
    """
    from lossbench.costs import estimate
    from lossbench.presets import describe, load

    text = describe(name, overrides or ())
    emit(f"# {estimate(load(name, overrides or ()))}\n{text}")
