"""`lossbench watch`: all runs of the store, live."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from lossbench.cli.app import HomeOption, LossFilter, PresetFilter, TagFilter, WhereOption, app
from lossbench.cli.terminal import emit, screen


@app.command("watch")
def watch(
    presets: PresetFilter = None,
    losses: LossFilter = None,
    tags: TagFilter = None,
    where: WhereOption = None,
    interval: Annotated[float, typer.Option("--interval", min=0.2, metavar="SECONDS", help="Look this often.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show one picture and end; always so in a pipe.")] = False,
    home: HomeOption = None,
) -> None:
    """Watch all runs live, other processes' included, until Ctrl-C.

    \b
    Examples:
      lossbench watch
      lossbench watch 'cifar100-*' --interval 5
      lossbench watch --once | head -3
    """
    from lossbench.home import find_home
    from lossbench.live import frame
    from lossbench.live.stored import look
    from lossbench.store import Selection

    place = find_home(home)
    selection = Selection(presets=tuple(presets or ()), losses=tuple(losses or ()), tags=tuple(tags or ()), where=where)

    def picture(usage: str = "") -> str:
        # Asked anew each time: the terminal may have been resized.
        now = screen()
        watched = look(place, selection, at=datetime.now(UTC), most=now.height or 200, usage=usage)
        return frame(watched, width=now.width or 200, height=now.height or 200, color=now.color)

    if once or not screen().interactive:
        emit(picture())
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from lossbench.usage import Meter

    meter = Meter()
    with Live(console=Console(), screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(Text.from_ansi(picture(meter.read()), no_wrap=True), refresh=True)
            time.sleep(interval)
