"""A plan as shell commands, one `lossbench run` for each cell to train."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.cli.options import Again, How, arguments
from lossbench.cli.terminal import emit, note
from lossbench.home import find_home
from lossbench.spec import LossRef, Preset

if TYPE_CHECKING:
    from lossbench.store import Store
    from lossbench.sweep import Planned

__all__ = ["asked_for", "list_commands", "resumed"]

Line = Callable[["Planned"], Sequence[str]]


def asked_for(experiments: Mapping[Preset, Sequence[str]], written: Mapping[LossRef, str], again: Again) -> Line:
    """How to ask for one cell of these presets and losses, as they were written for all cells."""

    def line(planned: "Planned") -> Sequence[str]:
        name, *fields = experiments[planned.spec.preset]
        if name.endswith(".toml") or "/" in name:
            name = str(Path(name).expanduser().absolute())
        settings = [word for field in fields for word in ("--set", field)]
        loss = written[planned.spec.loss]
        return [name, "--loss", loss, "--seed", str(planned.spec.seed), *settings, *arguments(again)]

    return line


def resumed(planned: "Planned") -> Sequence[str]:
    """How to ask for a stored run to go on."""
    assert planned.run_id is not None
    return ["--resume", planned.run_id]


def list_commands(planning: "Callable[[Store], Sequence[Planned]]", line: Line, how: How) -> None:
    """Print a command for each cell to train; each means the same in every folder."""
    from lossbench.data import data_folder
    from lossbench.store import Store

    place = find_home(how.home)
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
        planned = planning(store)
    shared = arguments(replace(how, home=place.root, data_dir=data_folder(how.data_dir), dry_run=False))
    for each in planned:
        if each.action in ("start", "resume"):
            command = shlex.join(["lossbench", "run", *line(each), *shared])
            # A file of the user's is part of the cell's name as it was written, so it is found from the same folder.
            emit(command if each.spec.loss.code is None else f"cd {shlex.quote(str(Path.cwd()))} && {command}")
