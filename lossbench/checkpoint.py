"""Checkpoints: what a run needs to go on, in files that are whole or not there.

One file holds the members of one training program, a single network or a cohort, and `retention` leads every run to its
own. Its last 32 bytes are the SHA-256 of the rest.

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

from lossbench import processes, retention
from lossbench.errors import StoreError, UsageError
from lossbench.home import Home
from lossbench.packing import pack, unpack
from lossbench.spec import RunSpec, differing_fields

__all__ = [
    "Checkpoint",
    "asked",
    "hold",
    "load",
    "packed",
    "place",
    "save",
    "settle",
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
            # Whatever kept it from writing, a full disk or Ctrl-C, torch hides behind a word about places in the file.
            raise error.__context__ or error from None
        out.write(out.digest())

    _write(retention.of_program(home, name), fill)


def hold(home: Home, name: str) -> None:
    """Give what was saved last a name that later ones leave alone, to `settle` it; not while something is being saved.

    Raises:
        StoreError: the name could not be given.
    """
    file = retention.of_program(home, name)
    try:
        retention.held(file).unlink(missing_ok=True)
        os.link(retention.fresh(file), retention.held(file))
    except OSError as error:
        raise retention.unwritable(file, error) from error


def settle(home: Home, name: str) -> None:
    """Have what is held on the disk, and keep the one settled before it.

    Raises:
        StoreError: it cannot get there; the earlier ones are still in place.
    """
    file = retention.of_program(home, name)
    beside = retention.held(file)
    try:
        with beside.open("rb") as written:
            os.fsync(written.fileno())
            if not _whole(written):
                raise OSError(5, "the disk gave back other bytes than were written")
        if file.exists() and not file.samefile(beside):
            before = retention.previous(file)
            before.unlink(missing_ok=True)
            os.link(file, before)
        beside.replace(file)
        retention.sync(home.checkpoints)
    except OSError as error:
        raise retention.unwritable(file, error) from error
    finally:
        beside.unlink(missing_ok=True)


def packed(home: Home, run_id: str) -> tuple[str, bytes, int] | None:
    """Name, content and epochs of the file a run's checkpoint is in, for `place` elsewhere; None where it has none.

    Raises:
        StoreError: it cannot be read.
    """
    file = retention.of_run(home, run_id)
    if file is None:
        return None
    try:
        states = ((each, _read(each, run_id)) for each in retention.candidates(file))
        sound, epoch = next(((each, state[2].epoch) for each, state in states if state), (file, 0))
        return file.name, sound.read_bytes(), epoch
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
    retention.link(home, program, run_ids)


def load(home: Home, run_id: str, spec: RunSpec) -> Checkpoint | None:
    """The newest sound checkpoint of a run; None where it has none.

    Raises:
        StoreError: there is one, but neither it nor the one before it can be read.
        UsageError: it belongs to another spec.
    """
    file = retention.of_run(home, run_id)
    if file is None:
        return None
    found = next(filter(None, (_read(each, run_id) for each in retention.candidates(file))), None)
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


class _Digested:
    """A file that knows the SHA-256 of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Hand on what a buffer holds back."""
        self._file.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


def _write(file: Path, fill: Callable[[_Digested], object]) -> None:
    """Make the `.new` of a file, whole."""
    draft = retention.unfinished(file)
    try:
        with draft.open("w+b") as written:
            out = _Digested(written)
            fill(out)
            out.flush()
            written.seek(0)
            if hashlib.file_digest(written, "sha256").digest() != out.digest():
                raise OSError(5, "the disk gave back other bytes than were written")
        # Renaming onto a name that is taken would have the file system write at once, and wait for it.
        retention.older(file).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            retention.fresh(file).rename(retention.older(file))
        draft.rename(retention.fresh(file))
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise retention.unwritable(file, error) from error


def _whole(file: BinaryIO) -> bool:
    """Whether a file ends with the digest of the rest."""
    left = os.fstat(file.fileno()).st_size - _DIGEST
    digest = hashlib.sha256()
    while left > 0 and (chunk := file.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    return file.read() == digest.digest()


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
