"""Commands that `torchrun` may start as several processes, of which the first one is the command."""

import functools
import gc
import os
from collections.abc import Callable
from typing import Any

__all__ = ["alongside"]


def alongside(command: Callable[..., None]) -> Callable[..., None]:
    """Let the first of the processes carry the command out and the others train along; one by itself does all."""

    @functools.wraps(command)
    def started(**values: Any) -> None:
        if "RANK" not in os.environ:
            command(**values)
            return
        from lossbench.executors import assist, launched, leading

        launch = launched()
        if launch is not None and launch.rank:
            gc.enable()
            assist(values["how"].device)
            return
        with leading():
            command(**values)

    return started
