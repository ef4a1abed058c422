"""Which checkpoint files there are, and which of them stay: names, links, and what goes when no run needs it any more.

`checkpoint/<run id>.pt` is a link to the file of the program that trains or trained the run; a file goes with the last
run that is linked to it.
"""

import contextlib
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

from lossbench.errors import StoreError
from lossbench.home import Home

__all__ = [
    "candidates",
    "discard",
    "forget",
    "fresh",
    "held",
    "keep",
    "link",
    "linked",
    "make_room",
    "of_program",
    "of_run",
    "older",
    "previous",
    "sync",
    "tidy",
    "unfinished",
    "unwritable",
]

_KEPT = re.compile(r"(?P<run>[\w-]+)\.epoch-\d+\.pt")


def of_program(home: Home, name: str) -> Path:
    """The settled file of a training program."""
    return home.checkpoints / f"{name}.members"


def of_run(home: Home, run_id: str) -> Path | None:
    """The settled file a run goes on from."""
    name = _target(home.checkpoint(run_id))
    return None if name is None else home.checkpoints / name


def fresh(file: Path) -> Path:
    """What was saved last, and is yet to be settled."""
    return file.with_name(file.name + ".new")


def unfinished(file: Path) -> Path:
    """What `fresh` is while it is written; a killed process leaves it so."""
    return file.with_name(file.name + ".new.tmp")


def older(file: Path) -> Path:
    """What was saved before that."""
    return file.with_name(file.name + ".older")


def held(file: Path) -> Path:
    """What is being settled."""
    return file.with_name(file.name + ".held")


def previous(file: Path) -> Path:
    """What was settled before."""
    return file.with_name(file.name + ".prev")


def candidates(file: Path) -> tuple[Path, ...]:
    """The files a checkpoint may be in, newest first; one that was saved only just now may have no name yet."""
    return fresh(file), older(file), file, previous(file)


def link(home: Home, name: str, run_ids: Collection[str]) -> None:
    """Have runs go on from a settled file; files that no run goes on from any more go.

    Raises:
        StoreError: the links could not be written.
    """
    file = of_program(home, name)
    try:
        before = {_link(home.checkpoint(run_id), file) for run_id in run_ids}
        sync(home.checkpoints)
        _drop_unlinked(home, before)
    except OSError as error:
        raise unwritable(file, error) from error


def linked(home: Home) -> list[str]:
    """The runs that have a checkpoint to go on from."""
    return [each.stem for each in home.checkpoints.glob("*.pt") if "." not in each.stem]


def keep(home: Home, name: str, run_ids: Collection[str], epoch: int) -> None:
    """Give the settled checkpoint a second name, `<run id>.epoch-<n>.pt`, that later ones leave alone."""
    for run_id in run_ids:
        kept = home.checkpoints / f"{run_id}.epoch-{epoch}.pt"
        kept.unlink(missing_ok=True)
        os.link(of_program(home, name), kept)


def make_room(home: Home, name: str) -> None:
    """Give up the spare copies of a checkpoint for the sake of the disk."""
    file = of_program(home, name)
    for spare in (older(file), previous(file)):
        spare.unlink(missing_ok=True)


def discard(home: Home, run_ids: Collection[str]) -> None:
    """Take away what these runs would go on from; what was kept of single epochs stays.

    Raises:
        StoreError: one of the files cannot be removed.
    """
    before = set()
    try:
        for run_id in run_ids:
            each = home.checkpoint(run_id)
            before.add(_target(each))
            each.unlink(missing_ok=True)
        _drop_unlinked(home, before)
    except OSError as error:
        raise StoreError(f"cannot remove a checkpoint from {home.checkpoints}: {error.strerror}") from error


def forget(home: Home, run_ids: Collection[str]) -> None:
    """Take away every checkpoint of these runs, those of single epochs too.

    Raises:
        StoreError: one of the files cannot be removed.
    """
    # Only what is there: an id may be a path that somebody else has made up.
    discard(home, [run_id for run_id in linked(home) if run_id in run_ids])
    for path in home.checkpoints.glob("*.epoch-*.pt"):
        if (kept := _KEPT.fullmatch(path.name)) and kept["run"] in run_ids:
            path.unlink(missing_ok=True)


def tidy(home: Home, living: Callable[[str], bool]) -> None:
    """Remove what killed processes left: files that no run is linked to and whose writer, by name, is not `living`."""
    left = list(home.checkpoints.glob("*.members*"))
    needed = {_target(each) for each in home.checkpoints.glob("*.pt")} if left else set()
    for file in left:
        name = file.name.partition(".")[0]
        if f"{name}.members" not in needed and not living(name):
            file.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(file: Path, error: OSError) -> StoreError:
    """What to say of a checkpoint that could not be written."""
    return StoreError(f"cannot write checkpoint {file}: {error.strerror}")


def _target(each: Path) -> str | None:
    """The file a run is linked to. Only its name counts: a link from elsewhere must not lead out of the folder."""
    with contextlib.suppress(FileNotFoundError):  # another process may be taking it away
        return each.readlink().name if each.is_symlink() else None
    return None


def _link(each: Path, file: Path) -> str | None:
    """Point a run to a file.

    Returns:
        The name of the file it pointed to before, if that was another.
    """
    before = _target(each)
    if before == file.name:
        return None
    drawn = each.with_name(f"{each.name}.tmp")
    drawn.unlink(missing_ok=True)
    drawn.symlink_to(file.name)
    drawn.replace(each)
    return before


def _drop_unlinked(home: Home, names: Collection[str | None]) -> None:
    for name in names:
        if name is not None and all(_target(each) != name for each in home.checkpoints.glob("*.pt")):
            file = home.checkpoints / name
            for each in (*candidates(file), unfinished(file), held(file)):
                each.unlink(missing_ok=True)
