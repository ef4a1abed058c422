"""`lossbench sweep`: every combination of presets, losses and seeds that is not done yet."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lossbench.cli.alongside import alongside
from lossbench.cli.app import FormatOption, SetOption, app
from lossbench.cli.commands import asked_for, list_commands, resumed, submit_commands
from lossbench.cli.deciding import Until, sweep_until
from lossbench.cli.numerics import Numerics
from lossbench.cli.options import Again, How, Where
from lossbench.cli.sets import takes_sets
from lossbench.cli.training import cells_of, parse_duration, resuming, train
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.sweep import Planned


@app.command()
@takes_sets
@alongside
def sweep(
    presets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PRESET",
            help="Presets, by name or as paths of TOML files, or one suite:NAME.",
            show_default=False,
        ),
    ] = None,
    losses: Annotated[
        list[str] | None,
        typer.Option("--loss", "-l", metavar="LOSS", help="A loss; repeatable. [default: ce]", show_default=False),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            "-n",
            metavar="N|LIST",
            help="How many seeds, or which: 5, or 0,3,5-9. [default: 5]",
            show_default=False,
        ),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            "-g",
            metavar="FIELD=V1,V2",
            help="Try each value of a preset's field; repeatable.",
            show_default=False,
        ),
    ] = None,
    overrides: SetOption = None,
    *,
    until: Until,
    where: Where,
    again: Again,
    numerics: Numerics,
    how: How,
    emit_commands: Annotated[
        bool,
        typer.Option("--emit-commands", help="Print a `lossbench run` line for each cell to train, and train nothing."),
    ] = False,
    format: FormatOption = "table",
) -> None:
    """Train every combination of presets, losses and seeds.

    What is done is not trained again; the runs' ids are printed. All losses of one seed are trained before the next
    seed, so that stopping early leaves complete pairs. Issue the same command again to resume. A suite names the
    presets, losses, seeds and grid of a published table; losses and seeds given beside it take the place of its
    own.

    \b
    Examples:
      lossbench sweep digits-mlp --loss ce --loss adaptive --loss ce-el:focus=0-0.5 --seeds 5
      lossbench sweep digits-mlp wine-linear -l ce -l focal:gamma=1 -g optimizer.lr=0.01,0.05 --seeds 3 --jobs 2
      lossbench sweep cifar100-resnet18 -l ce -l adaptive --seeds 5 --dry-run
      lossbench sweep suite:mixing-table1-cifar100 --dry-run
      lossbench sweep digits-mlp -l ce -l adaptive -l focal --until decided --max-seeds 30
      lossbench sweep suite:uci --emit-commands | parallel --jobs 8
    """
    from lossbench.losses import resolve
    from lossbench.sweep import cells, expand, parse_seeds, request

    until.refuse_stray()
    line: Callable[[Planned], Sequence[str]]
    if again.resume:
        if presets or losses or seeds or grid or overrides or numerics.overrides():
            raise UsageError("--resume goes on with runs as they were asked for; leave out what else they should be")
        line = resumed
        planning = resuming(again.resume)
    elif not presets:
        raise UsageError("name presets (see `lossbench presets`), or runs to go on with: --resume RUN")
    else:
        asked = request(presets, losses or (), seeds, grid or ())
        experiments = expand(asked.presets, [*(overrides or ()), *numerics.overrides()], asked.grid)
        if until.until:
            if seeds or emit_commands:
                raise UsageError("--until decided chooses the seeds as it goes; leave out --seeds and --emit-commands")
            sweep_until(
                [*experiments],
                [*dict.fromkeys(resolve(text) for text in asked.losses)],
                until,
                again=again,
                how=how,
                where=where,
                format=format,
            )
            return
        written = {resolve(text): text for text in asked.losses}
        wanted = cells(experiments, [*written], parse_seeds(asked.seeds))
        line = asked_for(experiments, written, again)
        planning = cells_of(wanted, again)
    if emit_commands:
        list_commands(planning, line, how)
    elif where.engine == "slurm" and not how.dry_run:
        if again.force:
            raise UsageError(
                "--force would begin anew whenever a job is queued again; leave it out with --engine slurm"
            )
        seconds = parse_duration(how.max_time)
        submit_commands(planning, line, replace(how, max_time=None), where, seconds)
    else:
        train(planning, how, where, format)
