"""`lossbench tune`: the same search for every loss, judged on validation rows, confirmed on fresh seeds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lossbench.cli.app import Format, FormatOption, SetOption, app, reading, show, show_document
from lossbench.cli.looking import remember
from lossbench.cli.options import Again, How, Where
from lossbench.cli.sets import takes_sets
from lossbench.cli.terminal import note
from lossbench.cli.training import Rounds
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.tuning import Found, Study, Tried


@app.command("tune")
@takes_sets
def tune(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="A preset's name, or the path of a TOML file.")],
    losses: Annotated[
        list[str] | None, typer.Option("--loss", "-l", metavar="LOSS", help="A loss; repeatable.", show_default=False)
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            "--space",
            metavar="FIELD=VALUES",
            help="What to search: optimizer.lr=log:0.01..0.3, loss.gamma=0.5..5, or batch_size=32,64; repeatable.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[int, typer.Option("--trials", min=1, metavar="N", help="Settings tried for each loss.")] = 20,
    method: Annotated[
        Literal["grid", "random", "tpe"],
        typer.Option("--search", help="How settings are chosen; tpe needs lossbench[tune]."),
    ] = "random",
    seeds: Annotated[
        str, typer.Option("--seeds", "-n", metavar="N|LIST", help="Seeds of each trial: 2, or 0,3,5-9.")
    ] = "1",
    confirm: Annotated[
        int,
        typer.Option(
            "--confirm-seeds",
            min=0,
            metavar="N",
            help="Train each choice with N fresh seeds, and compare those.",
        ),
    ] = 0,
    overrides: SetOption = None,
    *,
    where: Where,
    again: Again,
    how: How,
    format: FormatOption = "table",
) -> None:
    """Search the settings of every loss with the same budget.

    Prints each loss's best on validation rows. A loss without a knob of the space searches the rest of it with as
    many trials. Issue the same command again to resume. With --confirm-seeds the choices are trained with seeds
    that took no part in choosing, and those runs alone are compared, here and by `lossbench compare`.

    \b
    Examples:
      lossbench tune digits-mlp -l ce -l focal --space loss.gamma=0.5..5 --trials 20 -s data.validation=0.2
      lossbench tune iris-linear -l ce -l mae --space optimizer.lr=log:0.01..1 --trials 8 --confirm-seeds 5
    """
    from lossbench.render.tuning import choices_table
    from lossbench.search import parse_space
    from lossbench.sweep import parse_seeds
    from lossbench.tuning import study

    if again.resume or how.dry_run:
        raise UsageError("a search plans as it goes, and the same command resumes it; leave out --resume and --dry-run")
    plan = study(
        preset,
        losses or (),
        {text: parse_space(text) for text in space or ()},
        overrides=overrides or (),
        method=method,
        trials=trials,
        seeds=parse_seeds(seeds),
    )
    for text in plan.notes:
        note(text)
    rounds = Rounds(again, how, where)
    tried: list[Tried] = []
    runs: dict[str, str] = {}
    for block in plan.rounds():
        new = rounds.train(plan.cells(block)).runs
        tried, runs = [*tried, *block], {**runs, **new}
        with reading(how.home) as store:
            plan.tell(store, block, new)
    with reading(how.home) as store:
        found = plan.found(store, tried, runs)
    if not confirm:
        show(choices_table([each.choice for each in found], plan.measure), format)
        return
    _confirm(plan, found, rounds, confirm, format)


def _confirm(plan: "Study", found: "Sequence[Found]", rounds: Rounds, count: int, format: Format) -> None:
    """Train every choice with fresh seeds, keep with those runs where they come from, and compare them."""
    from lossbench.compare import compare_losses
    from lossbench.home import find_home
    from lossbench.render.comparison import comparison_document
    from lossbench.render.tuning import choices_table
    from lossbench.store import Selection
    from lossbench.store.marks import mark_each
    from lossbench.sweep import cells

    by_seed = [
        (cell, each)
        for seed in plan.fresh_seeds(count)
        for each in found
        for cell in cells([each.tried.preset], [each.tried.loss], [seed])
    ]
    runs = rounds.train([cell for cell, _ in by_seed]).runs
    marks: dict[str, dict[str, str | bool]] = {
        runs[cell.key]: {"tuning": plan.mark(each)} for cell, each in by_seed if cell.key in runs
    }
    mark_each(find_home(rounds.home), marks)
    families = [each.choice.loss for each in found]
    if len(families) < 2:
        show(choices_table([each.choice for each in found], plan.measure), format)
        return
    with reading(rounds.home) as store:
        value = compare_losses(store, Selection(runs=tuple(marks)), baseline="ce" if "ce" in families else plan.first)
    show_document(comparison_document(value), format)
    remember(rounds.home, value)
