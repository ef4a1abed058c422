"""`lossbench run`: train one preset with one loss and one seed."""

from typing import Annotated

import typer

from lossbench.cli.app import DataDirOption, HomeOption, SetOption, app
from lossbench.cli.options import (
    DeviceOption,
    DryRunOption,
    ForceOption,
    KeepOption,
    MaxTimeOption,
    PlainOption,
    ResumeOption,
    RetryOption,
    ThreadsOption,
)
from lossbench.cli.training import cells_of, resuming, train
from lossbench.errors import UsageError


@app.command()
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
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    max_time: MaxTimeOption = None,
    resume: ResumeOption = None,
    retry: RetryOption = None,
    force: ForceOption = False,
    keep: KeepOption = "none",
    dry_run: DryRunOption = False,
    plain: PlainOption = False,
    home: HomeOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Train one preset with one loss and one seed, and print the run's id.

    Every epoch is stored as it ends. Issue the same command again to resume a run that was stopped.

    \b
    Examples:
      lossbench run digits-mlp --loss adaptive
      lossbench run cifar100-resnet18 --loss focal:gamma=3 --seed 1 -s epochs=20 -s optimizer.lr=0.05
      lossbench run --resume @last
      lossbench run ./my-preset.toml --loss ./my_loss.py:my_fn
    """
    from lossbench import losses, presets
    from lossbench.sweep import cells

    if resume:
        planning = resuming(resume)
    elif preset is None:
        raise UsageError("name a preset (see `lossbench presets`), or a run to go on with: --resume RUN")
    else:
        wanted = cells([presets.load(preset, overrides or ())], [losses.resolve(loss)], [seed])
        planning = cells_of(wanted, force=force, retry=retry is not None)
    train(
        planning,
        home=home,
        data_dir=data_dir,
        device=device,
        threads=threads,
        max_time=max_time,
        keep=keep,
        dry_run=dry_run,
        plain=plain,
    )
