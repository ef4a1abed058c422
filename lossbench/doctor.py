"""What `lossbench doctor` looks at: whether this machine, this folder and these libraries can do what runs need."""

import fcntl
import importlib.metadata
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock

from lossbench import __version__, data, devices
from lossbench.data import inventory
from lossbench.errors import LossbenchError
from lossbench.home import Home
from lossbench.store import Store, queries

__all__ = ["Check", "examine"]

Verdict = Literal["good", "bad", "warn"]

_LIBRARIES = ("torch", "torchvision", "numpy", "numba", "scipy", "duckdb", "filelock", "typer", "rich", "plotext")
_GIB = 2**30
_ROOMY_GIB, _CRAMPED_GIB = 5.0, 0.5
_FEWEST_FILES = 256
_SLOW_SYNC_SECONDS = 0.25

# What another process finds when it tries the three kinds of lock that lossbench relies on.
_OTHER_PROCESS = """
import fcntl, os, sys
from filelock import FileLock, Timeout
folder = sys.argv[1]
taken = []
try:
    FileLock(folder + "/store.lock", timeout=0).acquire()
except Timeout:
    taken.append("store")
for name, lock in (("journal", fcntl.flock), ("claim", fcntl.lockf)):
    try:
        lock(os.open(folder + "/" + name, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        taken.append(name)
print(*taken)
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    found: str


def examine(home: Home, data_folder: Path) -> Iterator[Check]:
    """Look at everything, one after the other, and never stop at what is broken."""
    yield _versions()
    yield from _devices()
    yield _data(data_folder)
    yield _store(home)
    place = next(folder for folder in (home.root, *home.root.parents) if folder.is_dir())
    yield from _folder(place)
    yield _disk(place)
    yield _open_files()


def _versions() -> Check:
    libraries = " ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return Check("versions", "good", f"lossbench {__version__} Python {platform.python_version()} {libraries}")


def _devices() -> Iterator[Check]:
    for device in [torch.device("cpu"), *(torch.device("cuda", i) for i in range(torch.cuda.device_count()))]:
        name = devices.name_of(device)
        began = time.perf_counter()
        try:
            product = torch.ones(256, 256, device=device) @ torch.ones(256, 256, device=device)
            right = bool((product == 256).all())
        except RuntimeError as error:
            yield Check(f"device {device}", "bad", f"{name}: {str(error).splitlines()[0]}")
            continue
        milliseconds = 1000 * (time.perf_counter() - began)
        verdict: Verdict = "good" if right else "bad"
        answer = "computes" if right else "computes wrongly"
        yield Check(f"device {device}", verdict, f"{name}; {answer}, first answer after {milliseconds:.0f} ms")
    if not torch.cuda.is_available() and torch.version.cuda and Path("/proc/driver/nvidia").exists():
        yield Check(
            "device cuda", "warn", f"there is an NVIDIA driver, but PyTorch (CUDA {torch.version.cuda}) cannot use it"
        )


def _data(folder: Path) -> Check:
    states = Counter(inventory.held(source, folder).state for source in data.catalogue())
    return Check("data", "good", f"{', '.join(f'{count} {state}' for state, count in states.items())}, in {folder}")


def _store(home: Home) -> Check:
    try:
        with Store.open(home) as store:
            runs = queries.runs(store)
            notes = list(store.notes)
    except LossbenchError as error:
        return Check("store", "bad", str(error))
    lost = sum(run.status == "lost" for run in runs)
    said = f"{home.store}: {len(runs)} runs" + (f", {lost} of them lost; the same command resumes" if lost else "")
    return Check("store", "warn" if notes or lost else "good", "; ".join([said, *notes]))


def _folder(place: Path) -> Iterator[Check]:
    """Whether what runs write there is kept, how fast, and whether one process sees another's locks."""
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as folder:
            yield _sync(Path(folder))
            yield _locks(Path(folder))
    except OSError as error:
        yield Check("writing", "bad", f"cannot write to {place}: {error.strerror}")


def _sync(folder: Path) -> Check:
    with (folder / "sample").open("wb") as file:
        file.write(bytes(65536))
        file.flush()
        began = time.perf_counter()
        os.fsync(file.fileno())
        seconds = time.perf_counter() - began
    verdict: Verdict = "good" if seconds < _SLOW_SYNC_SECONDS else "warn"
    return Check("writing", verdict, f"{folder.parent} takes 64 KiB to the disk in {1000 * seconds:.1f} ms")


def _locks(folder: Path) -> Check:
    wanted = ("store", "journal", "claim")
    with (
        FileLock(folder / "store.lock"),
        (folder / "journal").open("w") as journal,
        (folder / "claim").open("w") as claim,
    ):
        fcntl.flock(journal, fcntl.LOCK_EX)
        fcntl.lockf(claim, fcntl.LOCK_EX)
        held = _tried_by_another(folder)
    freed = _tried_by_another(folder)
    unseen = [name for name in wanted if name not in held] + [f"{name} after its release" for name in freed]
    if unseen:
        return Check("locks", "bad", f"another process does not see the locks on {folder.parent}: {', '.join(unseen)}")
    return Check("locks", "good", f"two processes exclude each other on {folder.parent} by {', '.join(wanted)}")


def _tried_by_another(folder: Path) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", _OTHER_PROCESS, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    return ended.stdout.split() if ended.returncode == 0 else [f"({ended.stderr.strip().splitlines()[-1]})"]


def _disk(place: Path) -> Check:
    free = shutil.disk_usage(place).free / _GIB
    verdict: Verdict = "good" if free >= _ROOMY_GIB else "warn" if free >= _CRAMPED_GIB else "bad"
    return Check("disk", verdict, f"{free:.1f} GiB free at {place}")


def _open_files() -> Check:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found = "any number" if most == resource.RLIM_INFINITY else str(most)
    return Check("open files", "warn" if 0 <= most < _FEWEST_FILES else "good", f"{found} allowed at a time")
