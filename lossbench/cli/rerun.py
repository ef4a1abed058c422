"""`lossbench rerun`: the same question once more."""

from lossbench.cli.app import FormatOption, WhereOption, app
from lossbench.cli.options import How, Where
from lossbench.cli.selecting import RunsArgument
from lossbench.cli.sets import takes_sets
from lossbench.cli.training import resuming, train


@app.command("rerun")
@takes_sets
def rerun(
    runs: RunsArgument = None,
    expression: WhereOption = None,
    *,
    where: Where,
    how: How,
    format: FormatOption = "table",
) -> None:
    """Train stored runs once more from the start.

    Each gets a new id, and exactly the preset, loss and seed it had.

    \b
    Examples:
      lossbench rerun @last
      lossbench rerun --where "status = 'failed'" --jobs 2
      lossbench rerun tag:paper --device cuda --dry-run
    """
    train(resuming(runs or [], where=expression, anew=True), how, where, format)
