"""`lossbench power`: how many seeds a difference takes."""

from typing import Annotated

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, reading, show_document
from lossbench.cli.asking import BaselineOption


@app.command("power")
def power(
    delta: Annotated[
        float, typer.Option("--delta", "-d", metavar="SIZE", help="Difference to see, in points or the metric's unit.")
    ],
    presets: Annotated[
        list[str] | None,
        typer.Option("--preset", "-p", metavar="PRESET", help="Take the spread from its runs.", show_default=False),
    ] = None,
    sd: Annotated[
        float | None,
        typer.Option(
            "--sd",
            metavar="SIZE",
            help="Spread of the difference per seed, about 1.4 times that of one loss between seeds.",
            show_default=False,
        ),
    ] = None,
    baseline: BaselineOption = "ce",
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", metavar="METRIC", help="[default: the preset's]", show_default=False),
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Chance of a false alarm.")] = 0.05,
    target: Annotated[float, typer.Option("--power", help="Wanted chance to see the difference.")] = 0.8,
    home: HomeOption = None,
    format: FormatOption = "table",
) -> None:
    """Say how many seeds a difference takes, before running them.

    \b
    Examples:
      lossbench power --delta 0.3 --sd 0.35
      lossbench power --delta 0.3 --preset cifar100-resnet18
    """
    from lossbench.compare.planning import named_spread, plan, stored_spread
    from lossbench.render.plan import plan_document
    from lossbench.store import Selection

    if sd is not None:
        spread, measure = named_spread(sd, metric)
    else:
        with reading(home) as store:
            selection = Selection(presets=tuple(presets or ()))
            spread, measure = stored_spread(store, selection, baseline=baseline, metric=metric)
    show_document(plan_document(plan(spread, delta, measure, alpha=alpha, target=target)), format)
