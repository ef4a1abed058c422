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
        str | None,
        typer.Option("--loss", "-l", metavar="LOSS", help="NAME or NAME:KNOB=VALUE,KNOB=VALUE.", show_default="ce"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, metavar="N", help="Initial weights, order, augmentation.", show_default="0"),
    ] = None,
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
    changed = [*(overrides or ()), *numerics.overrides()]
    if preset is None:
        if not again.resume:
            raise UsageError("name a preset (see `lossbench presets`), or a run to go on with: --resume RUN")
        if changed or loss is not None or seed is not None:
            raise UsageError(
                "--resume goes on with a run as it was asked for; leave out --loss, --seed, -s, --precision and "
                "--compile, or name its preset to see them compared"
            )
        planning = resuming(again.resume)
    else:
        recipe = presets.load(preset, changed)
        asked = cells([recipe], [losses.resolve(loss or "ce")], [seed or 0])
        planning = resuming(again.resume, asked=asked[0]) if again.resume else cells_of(asked, again)
        if profile:
            with profiled(recipe, how) as watch:
                train(planning, how, Where(), watch=watch)
    train(planning, how, Where())
