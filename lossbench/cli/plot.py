"""`lossbench plot`: pictures of runs, in the terminal or as a file."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from lossbench.cli.app import app, reading
from lossbench.cli.asking import AllowOption, BaselineOption, Chosen, TunedOption
from lossbench.cli.sets import takes_sets
from lossbench.cli.spelling import derivatives, spelled
from lossbench.cli.terminal import emit, note, screen

Names = list[str] | None


@app.command("plot")
@takes_sets
def plot(
    *,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="curves, diff, box, strip, forest, cd, profile, ranks, calibration, confidence, gradient, knobs, "
            "sweep or throughput.",
        ),
    ] = "curves",
    chosen: Chosen,
    metrics: Annotated[
        Names,
        typer.Option(
            "--metric",
            "-m",
            metavar="METRIC",
            help="A stored metric, as NAME or SPLIT/NAME; repeatable. [default: what the preset is judged by]",
            show_default=False,
        ),
    ] = None,
    splits: Annotated[Names, typer.Option("--split", metavar="SPLIT", help="train, val or test; repeatable.")] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="RULE",
            help="last, mean:A-B, best-val or best-test. [default: the preset's rule]",
            show_default=False,
        ),
    ] = None,
    baseline: BaselineOption = "ce",
    tuned: TunedOption = None,
    allow: AllowOption = None,
    band: Annotated[
        Literal["ci", "sd", "minmax", "seeds"], typer.Option("--band", help="How to show the spread.")
    ] = "ci",
    smooth: Annotated[int, typer.Option("--smooth", min=1, metavar="N", help="Mean of the last N epochs.")] = 1,
    first: Annotated[int, typer.Option("--from", min=1, metavar="EPOCH", help="Leave out earlier epochs.")] = 1,
    log: Annotated[
        Literal["x", "y", "xy"] | None, typer.Option("--log", help="Logarithmic axes.", show_default=False)
    ] = None,
    fields: Annotated[
        Names,
        typer.Option(
            "--field",
            metavar="FIELD",
            help="For sweep: one or two fields, such as optimizer.lr or loss.gamma. [default: those that differ]",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        int, typer.Option("--classes", min=2, metavar="C", help="For gradient: number of classes.")
    ] = 10,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write .svg, .pdf, .png, .txt, or the numbers as .csv.", show_default=False
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", min=20, help="Columns. [default: the terminal's, else 80]", show_default=False),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(
            "--height", min=8, help="Rows. [default: the terminal's; in a pipe as many as it takes]", show_default=False
        ),
    ] = None,
) -> None:
    """Draw runs, in the terminal or into a file.

    Kinds are metrics over epochs, paired differences, final values, ranks, calibration, knobs, speed and others.

    \b
    Examples:
      lossbench plot
      lossbench plot curves digits-mlp -m top1_acc -m nll --split train --split test
      lossbench plot diff digits-mlp --baseline ce --smooth 5
      lossbench plot forest 'uci-*' --tuned optimizer.lr --out forest.pdf
      lossbench plot sweep digits-mlp --field optimizer.lr --log x
      lossbench plot gradient -l ce -l adaptive -l focal:gamma=3
    """
    from lossbench import charts, plots
    from lossbench.compare.suite import asked

    request = plots.Request(
        selection=chosen.selection(),
        baseline=baseline,
        metrics=tuple(metrics or ()),
        splits=tuple(splits or ("test",)),
        at=at,
        tuned=tuple(tuned or ()),
        allow=tuple(allow or ()),
        band=band,
        smooth=smooth,
        first_epoch=first,
        log_x=log in ("x", "xy"),
        log_y=log in ("y", "xy"),
        fields=tuple(fields or ()),
        classes=classes,
    )
    plots.check(kind, request)
    if kind == "gradient":
        from lossbench.plots.gradient import draw_losses

        figure = draw_losses(
            chosen.losses or (), classes=classes, derivatives=derivatives(classes), log_y=request.log_y
        )
    else:
        with reading(chosen.home) as store:
            held, *shown = spelled(store, [baseline, *(chosen.losses or ())])
            wanted = asked(store, chosen.presets or (), shown, request.tuned)
            selection = chosen.selection(presets=wanted.presets, losses=wanted.losses)
            figure = plots.figure(kind, store, replace(request, selection=selection, baseline=held, tuned=wanted.tuned))
    if out is not None:
        charts.save(figure, out)
        note(f"wrote {out}")
        return
    terminal = screen()
    columns, rows = width or terminal.width or 80, height or terminal.height
    # The last row stays free for the prompt. A pipe has no last row.
    emit(charts.text(figure, width=columns, height=(rows or 24) - 1, color=terminal.color, endless=rows is None))
