"""The command line: one module per command, each of which parses, calls one function, renders and exits."""

from lossbench.cli import (
    compare,
    data,
    diff,
    losses,
    ls,
    marks,
    plot,
    power,
    presets,
    report,
    rerun,
    run,
    show,
    sql,
    stop,
    sweep,
    watch,
)
from lossbench.cli.app import app, main

__all__ = [
    "app",
    "compare",
    "data",
    "diff",
    "losses",
    "ls",
    "main",
    "marks",
    "plot",
    "power",
    "presets",
    "report",
    "rerun",
    "run",
    "show",
    "sql",
    "stop",
    "sweep",
    "watch",
]
