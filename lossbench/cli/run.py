"""`lossbench run`: train one preset with one loss and one seed."""

from typing import Annotated

import typer

from lossbench.cli.alongside import alongside
from lossbench.cli.app import SetOption, app
from lossbench.cli.numerics import Numerics
from lossbench.cli.options import Again, How, Where
from lossbench.cli.profiling import profiled
from lossbench.cli.sets import takes_sets
from lossbench.cli.training import cells_of, resuming, train
from lossbench.errors import UsageError


@app.command()
@takes_sets
@alongside
def run(
    preset: Annotated[
        str | None,
        typer.Argument(metavar="PRESET", help="A preset's name, or the path of a TOML file.", show_default=False),
    ] = None,
    loss: Annotated[
        str, typer.Option("--loss", "-l", metavar="LOSS", help="NAME or NAME:KNOB=VALUE,KNOB=VALUE.")
    ] = "ce",
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Initial weights, order, augmentation.")] = 0,
    overrides: SetOption = None,
    *,
    again: Again,
    numerics: Numerics,
    how: How,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time went.")] = False,
) -> None:
    """Train one preset with one loss and one seed.

    Prints the run's id. Every epoch is stored as it ends. Issue the same command again to resume a run that was
    stopped.

    \b
    Examples:
      lossbench run digits-mlp --loss adaptive
      lossbench run cifar100-resnet18 --loss focal:gamma=3 --seed 1 -s epochs=20 -s optimizer.lr=0.05
      lossbench run --resume @last
      lossbench run ./my-preset.toml --loss ./my_loss.py:my_fn
    """
    from lossbench import losses, presets
    from lossbench.sweep import cells

    if again.resume and profile:
        raise UsageError("--profile measures a run from its start; name a preset instead of --resume")
    if again.resume and numerics.overrides():
        raise UsageError("--resume goes on with a run as it was asked for; leave --precision and --compile out")
    if again.resume:
        planning = resuming(again.resume)
    elif preset is None:
        raise UsageError("name a preset (see `lossbench presets`), or a run to go on with: --resume RUN")
    else:
        recipe = presets.load(preset, [*(overrides or ()), *numerics.overrides()])
        planning = cells_of(cells([recipe], [losses.resolve(loss)], [seed]), again)
        if profile:
            with profiled(recipe, how) as watch:
                train(planning, how, Where(), watch=watch)
    train(planning, how, Where())
