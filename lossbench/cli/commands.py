"""A plan as shell commands, one `lossbench run` for each cell to train."""

import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.cli.options import Again, How, Where
from lossbench.cli.placing import workers_of
from lossbench.cli.sets import arguments
from lossbench.cli.terminal import emit, note
from lossbench.errors import UsageError
from lossbench.home import find_home

if TYPE_CHECKING:
    from lossbench.spec import LossRef, Preset, RunSpec
    from lossbench.store import Store
    from lossbench.sweep import Planned

__all__ = ["asked_for", "list_commands", "resumed", "submit_commands"]

Line = Callable[["Planned"], Sequence[str]]
Planning = Callable[["Store"], Sequence["Planned"]]


def asked_for(experiments: "Mapping[Preset, Sequence[str]]", written: "Mapping[LossRef, str]", again: Again) -> Line:
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


def list_commands(planning: Planning, line: Line, how: How) -> None:
    """Print a command for each cell to train; each means the same in every folder."""
    for cell, words in _commands(planning, line, how):
        command = shlex.join(["lossbench", *words])
        # A file of the user's is part of the cell's name as it was written, so it is found from the same folder.
        emit(command if cell.loss.code is None else f"cd {shlex.quote(str(Path.cwd()))} && {command}")


def submit_commands(planning: Planning, line: Line, how: How, where: Where, seconds: float | None) -> None:
    """Submit an array of SLURM jobs, one for each cell to train, each for so many seconds; print their ids.

    Raises:
        UsageError: options that do not go together, the extra is not installed, or there is no SLURM.
    """
    if where.jobs == "auto":
        raise UsageError("--jobs auto measures on this machine, and SLURM chooses others; name a number")
    if where.gpus is not None or where.address is not None:
        raise UsageError("SLURM decides which GPUs a job gets: --slurm gpus_per_node=1; leave out --gpus and --address")
    try:
        from lossbench.executors.slurm import executor, submit
    except ModuleNotFoundError:
        raise UsageError(
            "--engine slurm needs an extra that is not installed: pip install 'lossbench[slurm]'"
        ) from None
    limits = [f"time={math.ceil(seconds / 60)}"] if seconds else []
    workers = workers_of(where)
    parallel = [f"array_parallelism={workers}"] if workers > 1 else []
    place = find_home(how.home)
    made = executor(place.root / "slurm" / "%j", [*limits, *parallel, *(where.slurm or ())])
    elements = [[sys.executable, "-m", "lossbench", *words] for _, words in _commands(planning, line, how)]
    if not elements:
        note("nothing is left to train")
        return
    place.create()
    for job in submit(made, elements, Path.cwd()):
        emit(job)


def _commands(planning: Planning, line: Line, how: How) -> "list[tuple[RunSpec, list[str]]]":
    """The arguments of `lossbench` for each cell to train."""
    from lossbench.data import data_folder
    from lossbench.store import Store

    place = find_home(how.home)
    with Store.open(place) as store:
        for text in store.notes:
            note(text)
        planned = planning(store)
    shared = arguments(replace(how, home=place.root, data_dir=data_folder(how.data_dir), dry_run=False))
    todo = [each for each in planned if each.action in ("start", "resume")]
    return [(each.spec, ["run", *line(each), *shared]) for each in todo]
