"""`lossbench flips`: what becomes of the rows a model has wrong."""

from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, app, reading, show
from lossbench.cli.asking import Chosen
from lossbench.cli.sets import takes_sets
from lossbench.cli.spelling import spelled
from lossbench.errors import UsageError


@app.command("flips")
@takes_sets
def flips(
    chosen: Chosen,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch", min=1, metavar="N", help="Look back at this epoch. [default: the first kept]", show_default=False
        ),
    ] = None,
    below: Annotated[float, typer.Option("--below", metavar="P", help="The p_y that parts wrong rows.")] = 0.2,
    format: FormatOption = "table",
) -> None:
    """Count what becomes of test rows that an epoch has wrong.

    Rows are right, nearly right or far from right at the epoch; of each, so many are right at the end.

    Runs keep predictions of the last epoch, and of those that the preset's field keep_predictions lists.

    \b
    Examples:
      lossbench run digits-mlp -s 'keep_predictions=[5]' && lossbench flips
      lossbench flips cifar100-resnet32-mixing --epoch 70 --below 0.2
    """
    from lossbench.compare.flips import flips as count
    from lossbench.render.flips import flips_table

    if not 0 <= below < 1:
        raise UsageError(f"--below {below:g}: a probability from 0 to below 1")
    with reading(chosen.home) as store:
        found = count(store, chosen.selection(losses=spelled(store, chosen.losses or ())), epoch=epoch, limit=below)
    show(flips_table(found, below), format)
