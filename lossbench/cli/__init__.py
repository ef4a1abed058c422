"""The command line: one module per command, each of which parses, calls one function, renders and exits."""

from lossbench.cli import ls, presets, show, sql
from lossbench.cli.app import app, main

__all__ = ["app", "ls", "main", "presets", "show", "sql"]
