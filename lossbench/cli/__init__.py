"""The command line: one module per command, each of which parses, calls one function, renders and exits."""

from lossbench.cli.app import app, main
from lossbench.cli.sections import load

__all__ = ["app", "load", "main"]
