"""Kernels as machine code for this processor, kept for the next process."""

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import torch
from numba import types
from numba.core.caching import FunctionCache
from numba.core.runtime import nrt

from lossbench.cohort import _elementary, _kernels, _vectors

__all__ = ["Kernels", "compiled", "folder", "kernels", "writable"]


@dataclass(frozen=True, slots=True)
class Kernels:
    """The kernels of `_kernels` for one type of number."""

    step: Callable[..., None]
    evaluate: Callable[..., None]


@functools.cache
def kernels(dtype: torch.dtype) -> Kernels:
    """The kernels for float32 or float64, compiled where no earlier process has left them."""
    number = {torch.float32: types.float32, torch.float64: types.float64}[dtype]
    place = writable(folder())
    if place is None:
        _say(f"compiling the steps of small networks; they are not kept, since {folder()} cannot be written to")
    elif not any(place.iterdir()):
        _say(f"compiling the steps of small networks, once for this machine; they are kept in {place}")
    return Kernels(
        step=compiled(_kernels.step, _step_signature(number), place),
        evaluate=compiled(_kernels.evaluate, _evaluate_signature(number), place),
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _step_signature(number: Any) -> Any:
    row, table = number[::1], number[:, ::1]
    whole, wholes = types.int64, types.int64[::1]
    return types.void(
        types.int64[:, ::1], table, table, table, types.boolean, row, wholes, types.int64[:, :, ::1], wholes, row, row,
        row, row, row, row, wholes, row, row, row, row, wholes, row, types.float64[:, ::1], whole, whole, types.boolean,
        whole,
    )  # fmt: skip


def _evaluate_signature(number: Any) -> Any:
    return types.void(
        types.int64[:, ::1], number[:, ::1], number[:, :, ::1], number[::1], number[::1], number[:, :, ::1]
    )


def compiled(function: Callable[..., None], signature: Any, place: Path | None) -> Callable[..., None]:
    """A function as machine code for one signature, kept in that folder and taken from there where it is."""
    if place is not None:
        settings = vars(numba.config)
        before, settings["CACHE_DIR"] = settings["CACHE_DIR"], str(place)
        try:
            return _jit(function, signature, cache=True)
        except Exception:
            # A full disk or a damaged file there costs the time of compiling, nothing else.
            pass
        finally:
            settings["CACHE_DIR"] = before
    return _jit(function, signature, cache=False)


class _Kept(FunctionCache):
    """numba's own keeping of machine code, which before it takes any from there learns all it could compile."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # To run what is compiled needs the runtime alone. The rest takes half a second, and compiling learns it itself.
        runtime: Any = nrt.rtsys
        runtime.initialize(target_context)
        cache: Any = self
        return cache._load_overload(sig, target_context)


def _jit(function: Callable[..., None], signature: Any, *, cache: bool) -> Callable[..., None]:
    made: Any = numba.njit(error_model="numpy")(function)
    if cache:
        keep: Any = _Kept
        made._cache = keep(function)
    made.compile(signature)
    made.disable_compile()
    compiled: Callable[..., None] = made
    return compiled


def folder() -> Path:
    """Where machine code is kept: in NUMBA_CACHE_DIR or the user's cache, apart for each version of its source."""
    # numba looks only at the file of the function itself, not at those of the functions it calls.
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in (_kernels, _elementary, _vectors))
    version = hashlib.sha256(sources).hexdigest()[:12]
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(named).expanduser().absolute() / f"lossbench-{version}"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).absolute() / "lossbench" / "kernels" / version


def writable(place: Path) -> Path | None:
    """The folder, made where it was missing; None where nothing can be written there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return place
    except OSError:
        return None
