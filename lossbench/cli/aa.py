"""`lossbench aa`: the baseline against itself."""

from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, reading, show_document


@app.command("aa")
def aa(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="A preset with runs.")],
    seeds: Annotated[int, typer.Option("--seeds", "-n", metavar="N", help="Seeds in each of the two arms.")] = 5,
    loss: Annotated[str, typer.Option("--loss", "-l", metavar="LOSS", help="The loss to hold against itself.")] = "ce",
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", metavar="METRIC", help="[default: the preset's]", show_default=False),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="RULE", help="[default: the preset's]", show_default=False)
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Chance of a false alarm that is aimed at.")] = 0.05,
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """Measure how large a difference chance alone makes.

    A loss is compared with itself, which also shows how often such a difference would be taken for a gain.

    \b
    Examples:
      lossbench sweep digits-mlp --loss ce --seeds 10
      lossbench aa digits-mlp --seeds 5
    """
    from lossbench.compare.noise import against_itself
    from lossbench.render.noise import noise_document

    with reading(home) as store:
        found = against_itself(store, preset, loss=loss, seeds=seeds, metric=metric, at=at, alpha=alpha)
    show_document(noise_document(found), format)
