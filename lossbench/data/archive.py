"""Published files: fetched whole, verified, and read without unpacking anything onto the disk."""

import errno
import gzip
import hashlib
import lzma
import os
import struct
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from lossbench.data.progress import tracked
from lossbench.errors import DataError

__all__ = ["Remote", "each_member", "fetch", "md5_of", "members", "replacing"]

T = TypeVar("T")

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a write fails with that began well."""

_unreachable: dict[str, urllib.error.URLError] = {}
"""Hosts that did not answer this process, which the other sets of a sweep need not wait for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A file as its publisher serves it; `file` is its path below the data folder."""

    url: str
    file: str
    md5: str


def fetch(remote: Remote, folder: Path, *, wanted_by: str, layout: Collection[str]) -> Path:
    """The file below the data folder, downloaded if it is not there yet, and verified either way.

    Args:
        wanted_by: name of the data set, for messages.
        layout: paths the data set is looked for at, for messages.
    Raises:
        DataError: it is neither there nor to be had, its checksum is wrong, or the folder cannot be written.
    """
    path = folder / remote.file
    if path.exists():
        _verify(md5_of(path), remote, f"{path}; remove it and try again")
        return path
    try:
        _download(remote, path)
    except OSError as error:
        looked = " nor ".join(layout)
        raise DataError(
            f"data set {wanted_by} is not in {folder} (neither {looked}) and {remote.url} cannot be fetched: "
            f"{getattr(error, 'reason', None) or error}; put that file into {folder}, or name a folder that holds "
            "the data with --data-dir or LOSSBENCH_DATA"
        ) from error
    return path


def md5_of(path: Path) -> str:
    """MD5 of a file, the checksum its publisher and torchvision give."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` when everything went well, and leaves no trace otherwise.

    Raises:
        DataError: the folder cannot be written, or is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DataError(
            f"cannot write to {path.parent} ({error.strerror}); name a writable folder with --data-dir or "
            "LOSSBENCH_DATA"
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DataError(
            f"cannot write {path} ({error.strerror}); make room, or name another folder with --data-dir or "
            "LOSSBENCH_DATA"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


# What the standard library raises when the bytes of an archive are wrong, from a false length to an unknown method.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
)


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the wanted files of a tar or zip archive; as `each_member`."""
    return each_member(path, wanted, lambda _, file: file.read())


def each_member(
    path: Path, wanted: Callable[[str], bool], read: Callable[[str, IO[bytes]], T]
) -> Iterator[tuple[str, T]]:
    """Names of the wanted files of a tar or zip archive and what `read` makes of them, in the archive's order.

    Nothing is written, so no member can land outside a folder; an archive that tries is refused whole all the same.

    Args:
        read: gets a member's name and its content as a file, so that a large one need not be in memory twice.
    Raises:
        DataError: a member's name leads outside, or the archive is empty, cut off or damaged.
    """
    empty = True
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as bundle:
                _refuse_escapes(path, bundle.namelist())
                for name in bundle.namelist():
                    empty = False
                    if wanted(name):
                        with bundle.open(name) as file:
                            yield name, read(name, file)
            if empty:
                raise zipfile.BadZipFile("there is no file in it")
            return
        with tarfile.open(path) as bundle_of_tar:
            for member in bundle_of_tar:
                empty = False
                _refuse_escapes(path, [member.name])
                if member.isfile() and wanted(member.name):
                    content = bundle_of_tar.extractfile(member)
                    assert content is not None
                    with content:
                        yield member.name, read(member.name, content)
            if empty:
                raise tarfile.ReadError("there is no file in it")
    except _DAMAGE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(":")
        raise DataError(f"{path} is cut off or damaged: {reason}; remove it and fetch it again") from error


def _refuse_escapes(path: Path, names: Collection[str]) -> None:
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise DataError(f"{path} is refused: its member {name!r} leads outside the archive's own folder")


def _download(remote: Remote, path: Path) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with _asked(remote.url) as answer, replacing(path) as file:
        total = int(answer.headers.get("Content-Length") or 0) // _CHUNK or None
        for chunk in tracked(iter(lambda: answer.read(_CHUNK), b""), f"fetching {remote.file}, MiB", total):
            file.write(chunk)
            digest.update(chunk)
        _verify(digest.hexdigest(), remote, f"what {remote.url} sends, and nothing of it is kept")


def _asked(url: str) -> Any:
    host = urlsplit(url).netloc
    if host in _unreachable:
        raise _unreachable[host]
    try:
        return urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        if host:
            _unreachable[host] = error
        raise


def _verify(found: str, remote: Remote, what: str) -> None:
    if found != remote.md5:
        raise DataError(f"wrong checksum: MD5 {found}, expected {remote.md5}, of {what}")
