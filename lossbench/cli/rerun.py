"""`lossbench rerun`: the same question once more."""

from lossbench.cli.app import DataDirOption, FormatOption, HomeOption, WhereOption, app
from lossbench.cli.options import (
    DeviceOption,
    DryRunOption,
    JobsOption,
    KeepOption,
    MaxTimeOption,
    PlainOption,
    ThreadsOption,
)
from lossbench.cli.selecting import RunsArgument
from lossbench.cli.training import resuming, train


@app.command("rerun")
def rerun(
    runs: RunsArgument = None,
    where: WhereOption = None,
    jobs: JobsOption = 1,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    max_time: MaxTimeOption = None,
    keep: KeepOption = "none",
    dry_run: DryRunOption = False,
    plain: PlainOption = False,
    home: HomeOption = None,
    data_dir: DataDirOption = None,
    format: FormatOption = "table",
) -> None:
    """Train stored runs once more from the start, each under a new id, with exactly the preset, loss and seed it had.

    \b
    Examples:
      lossbench rerun @last
      lossbench rerun --where "status = 'failed'" --jobs 2
      lossbench rerun tag:paper --device cuda --dry-run
    """
    train(
        resuming(runs or [], where=where, anew=True),
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
