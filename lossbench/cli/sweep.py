"""`lossbench sweep`: every combination of presets, losses and seeds that is not done yet."""

from typing import Annotated

import typer

from lossbench.cli.app import DataDirOption, FormatOption, HomeOption, SetOption, app
from lossbench.cli.options import (
    DeviceOption,
    DryRunOption,
    ForceOption,
    JobsOption,
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
    jobs: JobsOption = 1,
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
    format: FormatOption = "table",
) -> None:
    """Train every combination of presets, losses and seeds that is not done yet, and print the runs' ids.

    All losses of one seed are trained before the next seed, so that stopping early leaves complete pairs. Issue the
    same command again to resume. A suite names the presets, losses, seeds and grid of a published table; losses and
    seeds given beside it take the place of its own.

    \b
    Examples:
      lossbench sweep digits-mlp --loss ce --loss adaptive --loss ce-el:focus=0-0.5 --seeds 5
      lossbench sweep digits-mlp wine-linear -l ce -l focal:gamma=1 -g optimizer.lr=0.01,0.05 --seeds 3 --jobs 2
      lossbench sweep cifar100-resnet18 -l ce -l adaptive --seeds 5 --dry-run
      lossbench sweep suite:mixing-table1-cifar100 --dry-run
    """
    from lossbench.losses import resolve
    from lossbench.sweep import cells, expand, parse_seeds, request

    if resume:
        planning = resuming(resume)
    elif not presets:
        raise UsageError("name presets (see `lossbench presets`), or runs to go on with: --resume RUN")
    else:
        asked = request(presets, losses or (), seeds, grid or ())
        experiments = expand(asked.presets, overrides or (), asked.grid)
        wanted = cells(experiments, [resolve(text) for text in asked.losses], parse_seeds(asked.seeds))
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
        jobs=jobs,
        format=format,
    )
