"""`lossbench compare`: which loss is better, by how much, and how sure that is."""

from typing import Annotated, Literal

import typer

from lossbench.cli.app import FormatOption, app, reading, show_document
from lossbench.cli.asking import AllowOption, Chosen, Judged, TunedOption, min_effect_option
from lossbench.cli.looking import remember
from lossbench.cli.sets import takes_sets
from lossbench.cli.spelling import spelled
from lossbench.errors import UsageError


@app.command("compare")
@takes_sets
def compare(
    chosen: Chosen,
    judged: Judged,
    tuned: TunedOption = None,
    min_effect: Annotated[float | None, min_effect_option()] = None,
    correct: Annotated[
        Literal["holm", "bh", "none"], typer.Option("--correct", help="Correction of p for several losses.")
    ] = "holm",
    alpha: Annotated[float, typer.Option("--alpha", help="Chance of a false alarm, between 0 and 0.5.")] = 0.05,
    allow: AllowOption = None,
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
    format: FormatOption = "table",
    digits: Annotated[
        int | None,
        typer.Option(
            "--digits",
            min=0,
            max=15,
            metavar="N",
            help="With --format md or latex: round to N decimals, with titles and units, to be pasted into a paper.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say which losses beat the baseline, by how much, how sure.

    Runs are paired by seed, and verdicts corrected for the number of losses.

    `suite:NAME` compares what `sweep suite:NAME` trained, and puts the published figures beside it.

    \b
    Examples:
      lossbench compare
      lossbench compare digits-mlp --loss adaptive --loss 'focal*'
      lossbench compare cifar100-resnet18 --metric top5_err --at mean:190-200
      lossbench compare digits-mlp --loss adaptive --check better && echo ship it
      lossbench compare wine-linear --tuned optimizer.lr
      lossbench compare suite:uci 'uci-*-linear'
    """
    from lossbench.compare import check, compare_losses
    from lossbench.compare.suite import asked
    from lossbench.compare.testset import row_by_row
    from lossbench.render.comparison import comparison_document

    if digits is not None and format not in ("md", "latex"):
        raise UsageError(f"--digits rounds what --format md and latex print, not {format}; leave it out")
    with reading(chosen.home) as store:
        baseline, *losses = spelled(store, [judged.baseline, *(chosen.losses or ())])
        wanted = asked(store, chosen.presets or (), losses, tuned or ())
        found = compare_losses(
            store,
            chosen.selection(presets=wanted.presets, losses=wanted.losses),
            baseline=baseline,
            metric=judged.metric,
            at=judged.at,
            alpha=alpha,
            correct=correct,
            min_effect=min_effect,
            allow=allow or (),
            tuned=wanted.tuned,
            published=wanted.published,
        )
        rows = row_by_row(store, found) if new_test_set else ()
    show_document(comparison_document(found, rows, explain=explain), format, digits=digits)
    remember(chosen.home, found)
    if claim:
        raise typer.Exit(check(found, claim))
