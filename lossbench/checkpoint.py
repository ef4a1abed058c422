"""Checkpoints: what a run needs to go on, in files that are whole or not there.

One file holds the members of one training program, a single network or a cohort; `checkpoint/<run id>.pt` is a link to
it, so that every run finds its own. A file is written beside, synced, read back and only then given its name; the one
before it stays as `.prev`. Its last 32 bytes are the SHA-256 of the rest.
"""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lossbench.errors import StoreError, UsageError
from lossbench.home import Home
from lossbench.spec import RunSpec, differing_fields

__all__ = ["Checkpoint", "discard", "keep", "load", "make_room", "packed", "place", "save", "tidy"]

FORMAT = 2

_DIGEST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where one run stands: finished epochs, the state of its trainer, the threads its numbers were made with."""

    epoch: int
    threads: int
    state: dict[str, Any]


def save(
    home: Home, name: str, members: Mapping[str, RunSpec], states: Mapping[str, Any], *, epoch: int, threads: int
) -> None:
    """Write the state of every member, by run id, into one file and link each run to it.

    Raises:
        StoreError: the file could not be written; the earlier one is still in place.
    """
    body = {
        "format": FORMAT,
        "epoch": epoch,
        "threads": threads,
        "members": {run_id: {"asked": _asked(spec), "state": states[run_id]} for run_id, spec in members.items()},
    }
    buffer = io.BytesIO()
    torch.save(body, buffer)
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
    place(home, f"{name}.members", buffer.getbuffer(), members)


def packed(home: Home, run_id: str) -> tuple[str, bytes] | None:
    """The file a run's checkpoint is in, by name and content, for `place` on another machine; None where it has none.

    Raises:
        StoreError: it cannot be read.
    """
    name = _target(home.checkpoint(run_id))
    if name is None:
        return None
    try:
        return name, (home.checkpoints / name).read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read checkpoint {home.checkpoint(run_id)}: {error.strerror}") from error


def place(home: Home, name: str, content: bytes | memoryview, run_ids: Collection[str]) -> None:
    """Write a checkpoint file and link runs to it.

    Raises:
        StoreError: the file could not be written; the earlier one is still in place.
    """
    file = home.checkpoints / name
    try:
        _replace(file, memoryview(content))
        before = {_link(home.checkpoint(run_id), file) for run_id in run_ids}
        _sync(home.checkpoints)
        _drop_unlinked(home, before)
    except OSError as error:
        raise StoreError(f"cannot write checkpoint {file}: {error.strerror}") from error


def load(home: Home, run_id: str, spec: RunSpec) -> Checkpoint | None:
    """The newest sound checkpoint of a run; None where it has none.

    Raises:
        StoreError: there is one, but neither it nor the one before it can be read.
        UsageError: it belongs to another spec.
    """
    link = home.checkpoint(run_id)
    name = _target(link)
    if name is None:
        return None
    file = home.checkpoints / name
    found = _read(file, run_id) or _read(_previous(file), run_id)
    if found is None:
        raise StoreError(f"checkpoint {link} is damaged, and so is the one before it; --force starts the run anew")
    key, resolved, present = found
    if key != spec.key:
        fields = differing_fields(resolved, spec.resolved())
        raise UsageError(
            f"run {run_id} was started with another {', '.join(fields)}; --force starts a new run with the present one"
        )
    return present


def keep(home: Home, name: str, run_ids: Collection[str], epoch: int) -> None:
    """Give the present checkpoint a second name, `<run id>.epoch-<n>.pt`, that later ones leave alone."""
    for run_id in run_ids:
        link = home.checkpoints / f"{run_id}.epoch-{epoch}.pt"
        link.unlink(missing_ok=True)
        os.link(home.checkpoints / f"{name}.members", link)


def make_room(home: Home, name: str) -> None:
    """Give up the spare copy of a checkpoint for the sake of the disk."""
    _previous(home.checkpoints / f"{name}.members").unlink(missing_ok=True)


def discard(home: Home, run_ids: Collection[str]) -> None:
    """Forget the checkpoints of these runs; a file goes with the last run that is linked to it.

    Raises:
        StoreError: one of them cannot be removed.
    """
    before = set()
    try:
        for run_id in run_ids:
            link = home.checkpoint(run_id)
            before.add(_target(link))
            link.unlink(missing_ok=True)
        _drop_unlinked(home, before)
    except OSError as error:
        raise StoreError(f"cannot remove a checkpoint from {home.checkpoints}: {error.strerror}") from error


def tidy(home: Home, living: Callable[[str], bool]) -> None:
    """Remove what killed processes left: files that no run is linked to and whose writer, by name, is not `living`."""
    linked = {_target(link) for link in home.checkpoints.glob("*.pt")}
    for file in home.checkpoints.glob("*.members*"):
        name = file.name.partition(".")[0]
        if f"{name}.members" not in linked and not living(name):
            file.unlink(missing_ok=True)


# The same in every checkpoint of a run; a text, because pickling nested dictionaries takes longer than the weights.
@lru_cache(maxsize=4096)
def _asked(spec: RunSpec) -> str:
    return json.dumps({"key": spec.key, "spec": spec.resolved()})


def _replace(file: Path, content: memoryview) -> None:
    fresh = file.with_name(f"{file.name}.tmp")
    try:
        with fresh.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        with fresh.open("rb") as written:
            if hashlib.file_digest(written, "sha256").digest() != hashlib.sha256(content).digest():
                raise OSError(5, "the disk gave back other bytes than were written")
        if file.exists():
            before = _previous(file)
            before.unlink(missing_ok=True)
            os.link(file, before)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


def _target(link: Path) -> str | None:
    """The file a run is linked to. Only its name counts: a link from elsewhere must not lead out of the folder."""
    return link.readlink().name if link.is_symlink() else None


def _link(link: Path, file: Path) -> str | None:
    """Point a run to a file.

    Returns:
        The name of the file it pointed to before, if that was another.
    """
    before = _target(link)
    if before == file.name:
        return None
    fresh = link.with_name(f"{link.name}.tmp")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(file.name)
    fresh.replace(link)
    return before


def _drop_unlinked(home: Home, names: Collection[str | None]) -> None:
    for name in names:
        if name is not None and all(_target(link) != name for link in home.checkpoints.glob("*.pt")):
            for file in (home.checkpoints / name, _previous(home.checkpoints / name)):
                file.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _previous(file: Path) -> Path:
    return file.with_name(file.name + ".prev")


def _read(file: Path, run_id: str) -> tuple[str, dict[str, Any], Checkpoint] | None:
    """Key, resolved spec and checkpoint of a run in a sound file; None where there is no such thing."""
    try:
        content = file.read_bytes()
        payload, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(payload).digest() != digest:
            return None
        with warnings.catch_warnings(action="ignore"):
            body = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        member = body["members"][run_id]
        asked, state = json.loads(member["asked"]), member["state"]
        key, resolved = asked["key"], asked["spec"]
        epoch, threads, sound = body["epoch"], body["threads"], body["format"] == FORMAT
    # A foreign file may hold anything and so may raise anything; whatever it is, it is no checkpoint.
    except Exception:
        return None
    sound = sound and isinstance(resolved, dict) and isinstance(state, dict)
    sound = sound and type(epoch) is int and type(threads) is int and epoch >= 0 and threads >= 1
    return (key, resolved, Checkpoint(epoch=epoch, threads=threads, state=state)) if sound else None
