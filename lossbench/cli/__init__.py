"""The command line: one module per command, each of which parses, calls one function, renders and exits."""

from lossbench.cli import compare, ls, plot, power, presets, report, run, show, sql, sweep, watch
from lossbench.cli.app import app, main

__all__ = ["app", "compare", "ls", "main", "plot", "power", "presets", "report", "run", "show", "sql", "sweep", "watch"]
