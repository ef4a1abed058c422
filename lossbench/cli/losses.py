"""`lossbench losses`: the catalogue, one loss from the inside, and a look at a loss of one's own."""

from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, app, show
from lossbench.cli.spelling import derivatives
from lossbench.cli.terminal import emit, note, screen
from lossbench.errors import ExitCode

losses_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(losses_app, name="losses")

LossArgument = Annotated[
    str,
    typer.Argument(metavar="LOSS", help="A loss such as focal:gamma=3, ./file.py:function or package.module:function."),
]


@losses_app.callback()
def losses(context: typer.Context, format: FormatOption = "table") -> None:
    """List the losses, with their knobs and where they come from.

    \b
    Examples:
      lossbench losses
      lossbench losses show adaptive
      lossbench losses check ./my_loss.py:my_fn
    """
    if context.invoked_subcommand is not None:
        return
    from lossbench.losses import LEFT_OUT, catalogue
    from lossbench.render import Column, Table

    rows = tuple(
        (
            entry.name,
            ", ".join(entry.aliases),
            entry.family,
            ", ".join(f"{knob}={source}" for knob, source in entry.knobs.items()),
            ", ".join(entry.cites),
            entry.summary,
        )
        for entry in catalogue()
    )
    columns = (
        Column(key="loss", title="loss", anchor=True),
        Column(key="aliases", title="aliases"),
        Column(key="family", title="looks at"),
        Column(key="knobs", title="knobs"),
        Column(key="source", title="source"),
        Column(key="summary", title="summary", hidden=True),
    )
    show(Table(name="losses", columns=columns, rows=rows), format)
    for name, reason in LEFT_OUT.items():
        note(f"left out: {name}, {reason}")


@losses_app.command("show")
def show_losses(
    texts: Annotated[list[str], typer.Argument(metavar="LOSS...", help="Losses, such as ce focal:gamma=3.")],
    classes: Annotated[int, typer.Option("--classes", min=2, metavar="C", help="Number of classes drawn for.")] = 10,
    draw: Annotated[bool, typer.Option("--draw/--no-draw", help="Draw value and gradient over p_y.")] = True,
) -> None:
    """Explain losses, and draw value and |gradient| over the probability of the true class.

    \b
    Examples:
      lossbench losses show adaptive
      lossbench losses show ce adaptive ce-el:focus=0.3 focal
    """
    from lossbench import charts
    from lossbench.losses import Scheduled, describe_weight, resolve, sources, weight_curve
    from lossbench.plots.gradient import draw_losses

    for text in texts:
        ref = resolve(text)
        entry, chosen = sources(ref)
        emit(f"{ref}\n\n{entry.doc}\n")
        if chosen:
            emit(f"Knobs: {', '.join(f'{knob}={source}' for knob, source in chosen.items())}")
        if len(entry.steps) == 1:
            moment = ", in the last epoch" if any(isinstance(source, Scheduled) for source in chosen.values()) else ""
            emit(f"Weight over p_y{moment}: {describe_weight(weight_curve(text))}")
        emit(f"Source: {', '.join(entry.cites) or 'textbook' if ref.code is None else ref.name}\n")
    drawn = tuple(text for text in texts if len(sources(resolve(text))[0].steps) == 1)
    if draw and drawn:
        terminal = screen()
        figure = draw_losses(drawn, classes=classes, derivatives=derivatives(classes))
        # Beneath so much text nobody expects the picture to fill the screen.
        emit(charts.text(figure, width=terminal.width or 80, height=24, color=terminal.color, endless=True))


@losses_app.command("check")
def check(loss: LossArgument, format: FormatOption = "table") -> None:
    """Examine a loss: shape, gradients, extremes, symmetries, properness, and which known loss it equals.

    Exits with 0 where it can be trained with, else with 1.

    \b
    Examples:
      lossbench losses check ./my_loss.py:my_fn
      lossbench losses check mix-ent --format json
    """
    from dataclasses import asdict

    from lossbench.losses import examine
    from lossbench.render import Column, Table

    report = examine(loss)
    verdicts = {True: "ok", False: "FAILS", None: "-"}
    if format == "json":
        import json

        emit(json.dumps({**asdict(report), "passed": report.passed}, indent=2))
    else:
        rows = [(each.name, verdicts[each.passed], each.text) for each in report.findings]
        rows.append(("equals", "-", "; ".join(report.equals) or "no loss of the catalogue"))
        columns = (
            Column(key="check", title="check", anchor=True),
            Column(key="verdict", title="verdict", tones={"ok": "good", "FAILS": "bad"}),
            Column(key="finding", title="finding"),
        )
        show(Table(name="check", columns=columns, rows=tuple(rows), title=report.loss), format)
    if not report.passed:
        raise typer.Exit(ExitCode.FAILED)
