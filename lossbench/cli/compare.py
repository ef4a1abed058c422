"""`lossbench compare`: which loss is better, by how much, and how sure that is."""

from typing import Annotated, Literal

import typer

from lossbench.cli import terminal
from lossbench.cli.app import FormatOption, HomeOption, LossFilter, PresetFilter, WhereOption, app, reading


@app.command("compare")
def compare(
    presets: PresetFilter = None,
    losses: LossFilter = None,
    baseline: Annotated[
        str, typer.Option("--baseline", "-b", metavar="LOSS", help="The loss the others are held against.")
    ] = "ce",
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="METRIC",
            help="A stored metric, as NAME or SPLIT/NAME. [default: what the preset is judged by]",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="RULE",
            help="last, mean:A-B, best-val, or best-test, which gives no verdict. [default: the preset's rule]",
            show_default=False,
        ),
    ] = None,
    min_effect: Annotated[
        float | None,
        typer.Option(
            "--min-effect",
            min=0,
            metavar="SIZE",
            help="Smallest difference that matters, in points or the metric's unit. [default: 0.2 points]",
            show_default=False,
        ),
    ] = None,
    correct: Annotated[
        Literal["holm", "bh", "none"], typer.Option("--correct", help="Correction of p for several losses.")
    ] = "holm",
    alpha: Annotated[float, typer.Option("--alpha", help="Chance of a false alarm, between 0 and 0.5.")] = 0.05,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="FIELD",
            help="Compare runs although this field of the preset differs; repeatable.",
            show_default=False,
        ),
    ] = None,
    claim: Annotated[
        Literal["better", "not-worse", "equivalent"] | None,
        typer.Option(
            "--check", help="Exit with 0 if shown for every loss, 10 if refuted, 11 if undecided.", show_default=False
        ),
    ] = None,
    new_test_set: Annotated[
        bool, typer.Option("--new-test-set", help="Add intervals for a new test set, from the stored predictions.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print each number's formula and source.")] = False,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only runs with this tag; repeatable.", show_default=False),
    ] = None,
    where: WhereOption = None,
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """Say which losses beat the baseline, paired by seed and corrected for their number.

    \b
    Examples:
      lossbench compare
      lossbench compare digits-mlp --loss adaptive --loss 'focal*'
      lossbench compare cifar100-resnet18 --metric top5_err --at mean:190-200
      lossbench compare digits-mlp --loss adaptive --check better && echo ship it
    """
    from lossbench import render
    from lossbench.compare import check, compare_losses
    from lossbench.compare.testset import row_by_row
    from lossbench.render.comparison import comparison_document
    from lossbench.store import Selection

    selection = Selection(presets=tuple(presets or ()), losses=tuple(losses or ()), tags=tuple(tags or ()), where=where)
    with reading(home) as store:
        found = compare_losses(
            store,
            selection,
            baseline=baseline,
            metric=metric,
            at=at,
            alpha=alpha,
            correct=correct,
            min_effect=min_effect,
            allow=allow or (),
        )
        rows = row_by_row(store, found) if new_test_set else ()
    screen = terminal.screen()
    document = comparison_document(found, rows, explain=explain)
    terminal.emit(render.document(document, format, width=screen.width, color=screen.color))
    if claim:
        raise typer.Exit(check(found, claim))
