"""Checkpoints: what a run needs to go on, in files that are whole or not there.

One file holds the members of one training program, a single network or a cohort; `checkpoint/<run id>.pt` is a link to
it, so that every run finds its own. Its last 32 bytes are the SHA-256 of the rest.

A state goes to the disk in two steps. `save` writes it beside, reads it back and renames it to `.new`: no process that
is killed loses it, for the kernel has it. `settle` syncs it, reads it back and renames it once more, so that no power
cut loses it either, and keeps the one settled before as `.prev`. What is only saved is therefore good for the boot it
was made in; after that the settled ones count.
"""

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch

from lossbench import processes
from lossbench.errors import StoreError, UsageError
from lossbench.home import Home
from lossbench.packing import pack, unpack
from lossbench.spec import RunSpec, differing_fields

__all__ = [
    "Checkpoint",
    "asked",
    "discard",
    "hold",
    "keep",
    "link",
    "load",
    "make_room",
    "packed",
    "place",
    "save",
    "settle",
    "tidy",
]

FORMAT = 3

_DIGEST = 32
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where one run stands: finished epochs, the state of its trainer, the threads its numbers were made with."""

    epoch: int
    threads: int
    state: dict[str, Any]


def asked(spec: RunSpec) -> str:
    """The spec as it is kept with a state: a text, for pickling nested dictionaries takes longer than the weights."""
    return json.dumps({"key": spec.key, "spec": spec.resolved()})


def save(
    home: Home, name: str, members: Mapping[str, str], states: Mapping[str, Any], *, epoch: int, threads: int
) -> None:
    """Write the state of every member, by run id, and what it was `asked`, so that they outlive this process.

    Raises:
        StoreError: the file could not be written; the earlier ones are still in place.
    """
    texts, tensors = pack([states[run_id] for run_id in members])
    body = {
        "format": FORMAT,
        "boot": _boot(),
        "epoch": epoch,
        "threads": threads,
        "members": {run_id: [spec, text] for (run_id, spec), text in zip(members.items(), texts, strict=True)},
        "tensors": tensors,
    }

    def fill(out: _Digested) -> None:
        try:
            torch.save(body, cast("IO[bytes]", out))
        except RuntimeError as error:
            # Torch tells of a place in the file, and nothing of the disk.
            raise out.error or error from error
        out.write(out.digest())

    _write(home.checkpoints / f"{name}.members", fill)


def hold(home: Home, name: str) -> None:
    """Give what was saved last a name that later ones leave alone, to `settle` it; not while something is being saved.

    Raises:
        StoreError: the name could not be given.
    """
    file = home.checkpoints / f"{name}.members"
    try:
        _held(file).unlink(missing_ok=True)
        os.link(_new(file), _held(file))
    except OSError as error:
        raise _unwritable(file, error) from error


def settle(home: Home, name: str) -> None:
    """Have what is held on the disk, and keep the one settled before it.

    Raises:
        StoreError: it cannot get there; the earlier ones are still in place.
    """
    file = home.checkpoints / f"{name}.members"
    held = _held(file)
    try:
        with held.open("rb") as written:
            os.fsync(written.fileno())
            if not _whole(written):
                raise OSError(5, "the disk gave back other bytes than were written")
        if file.exists() and not file.samefile(held):
            before = _previous(file)
            before.unlink(missing_ok=True)
            os.link(file, before)
        held.replace(file)
        _sync(home.checkpoints)
    except OSError as error:
        raise _unwritable(file, error) from error
    finally:
        held.unlink(missing_ok=True)


def link(home: Home, name: str, run_ids: Collection[str]) -> None:
    """Have runs go on from a settled file; files that no run goes on from any more go.

    Raises:
        StoreError: the links could not be written.
    """
    file = home.checkpoints / f"{name}.members"
    try:
        before = {_link(home.checkpoint(run_id), file) for run_id in run_ids}
        _sync(home.checkpoints)
        _drop_unlinked(home, before)
    except OSError as error:
        raise _unwritable(file, error) from error


def packed(home: Home, run_id: str) -> tuple[str, bytes] | None:
    """The file a run's checkpoint is in, by name and content, for `place` on another machine; None where it has none.

    Raises:
        StoreError: it cannot be read.
    """
    file = _file(home, run_id)
    if file is None:
        return None
    try:
        sound = next((each for each in _candidates(file) if _read(each, run_id)), file)
        return file.name, sound.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read checkpoint {home.checkpoint(run_id)}: {error.strerror}") from error


def place(home: Home, name: str, content: bytes, run_ids: Collection[str]) -> None:
    """Write a checkpoint that was packed, settled at once, and have runs go on from it.

    Raises:
        StoreError: the file could not be written; the earlier ones are still in place.
    """
    _write(home.checkpoints / name, lambda out: out.write(content))
    program = name.removesuffix(".members")
    hold(home, program)
    settle(home, program)
    link(home, program, run_ids)


def load(home: Home, run_id: str, spec: RunSpec) -> Checkpoint | None:
    """The newest sound checkpoint of a run; None where it has none.

    Raises:
        StoreError: there is one, but neither it nor the one before it can be read.
        UsageError: it belongs to another spec.
    """
    file = _file(home, run_id)
    if file is None:
        return None
    found = next(filter(None, (_read(each, run_id) for each in _candidates(file))), None)
    if found is None:
        raise StoreError(
            f"checkpoint {home.checkpoint(run_id)} is damaged, and so is the one before it; --force starts the run anew"
        )
    key, resolved, present = found
    if key != spec.key:
        fields = differing_fields(resolved, spec.resolved())
        raise UsageError(
            f"run {run_id} was started with another {', '.join(fields)}; --force starts a new run with the present one"
        )
    return present


def keep(home: Home, name: str, run_ids: Collection[str], epoch: int) -> None:
    """Give the settled checkpoint a second name, `<run id>.epoch-<n>.pt`, that later ones leave alone."""
    for run_id in run_ids:
        link = home.checkpoints / f"{run_id}.epoch-{epoch}.pt"
        link.unlink(missing_ok=True)
        os.link(home.checkpoints / f"{name}.members", link)


def make_room(home: Home, name: str) -> None:
    """Give up the spare copies of a checkpoint for the sake of the disk."""
    file = home.checkpoints / f"{name}.members"
    for spare in (_older(file), _previous(file)):
        spare.unlink(missing_ok=True)


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


class _Digested:
    """A file that knows the SHA-256 of what was written to it, and what went wrong with the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Hand on what a buffer holds back."""
        self._file.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


def _write(file: Path, fill: Callable[[_Digested], object]) -> None:
    """Make the `.new` of a file, whole."""
    fresh = _unfinished(file)
    try:
        with fresh.open("w+b") as written:
            out = _Digested(written)
            fill(out)
            out.flush()
            written.seek(0)
            if hashlib.file_digest(written, "sha256").digest() != out.digest():
                raise OSError(5, "the disk gave back other bytes than were written")
        # Renaming onto a name that is taken would have the file system write at once, and wait for it.
        _older(file).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            _new(file).rename(_older(file))
        fresh.rename(_new(file))
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write checkpoint {file}: {error.strerror}")


def _whole(file: BinaryIO) -> bool:
    """Whether a file ends with the digest of the rest."""
    left = os.fstat(file.fileno()).st_size - _DIGEST
    digest = hashlib.sha256()
    while left > 0 and (chunk := file.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    return file.read() == digest.digest()


def _file(home: Home, run_id: str) -> Path | None:
    """The settled file a run goes on from."""
    name = _target(home.checkpoint(run_id))
    return None if name is None else home.checkpoints / name


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
            file = home.checkpoints / name
            for each in (*_candidates(file), _unfinished(file)):
                each.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new(file: Path) -> Path:
    return file.with_name(file.name + ".new")


def _unfinished(file: Path) -> Path:
    """What `.new` is while it is written; a killed process leaves it so."""
    return file.with_name(file.name + ".new.tmp")


def _older(file: Path) -> Path:
    return file.with_name(file.name + ".older")


def _held(file: Path) -> Path:
    return file.with_name(file.name + ".held")


def _previous(file: Path) -> Path:
    return file.with_name(file.name + ".prev")


def _candidates(file: Path) -> tuple[Path, ...]:
    """The files a checkpoint may be in, newest first; one that was saved only just now may have no name yet."""
    return _new(file), _older(file), file, _previous(file)


@lru_cache(maxsize=1)
def _boot() -> str:
    """From when to when the kernel keeps what was written, synced or not."""
    return str(processes.identity()["boot_id"])


def _read(file: Path, run_id: str) -> tuple[str, dict[str, Any], Checkpoint] | None:
    """Key, resolved spec and checkpoint of a run in a file to be relied on; None where there is no such thing."""
    try:
        content = file.read_bytes()
        payload, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(payload).digest() != digest:
            return None
        with warnings.catch_warnings(action="ignore"):
            body = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        spec, packed = body["members"][run_id]
        recorded, state = json.loads(spec), unpack(packed, body["tensors"])
        key, resolved = recorded["key"], recorded["spec"]
        epoch, threads, sound = body["epoch"], body["threads"], body["format"] == FORMAT
        sound = sound and (file.suffix not in (".new", ".older") or body["boot"] == _boot())
    # A foreign file may hold anything and so may raise anything; whatever it is, it is no checkpoint.
    except Exception:
        return None
    sound = sound and isinstance(resolved, dict) and isinstance(state, dict)
    sound = sound and type(epoch) is int and type(threads) is int and epoch >= 0 and threads >= 1
    return (key, resolved, Checkpoint(epoch=epoch, threads=threads, state=state)) if sound else None
