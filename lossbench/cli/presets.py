"""`lossbench presets`: the experiments that can be run by name."""

from typing import Annotated

import typer

from lossbench.cli.app import Format, FormatOption, app
