"""Under what circumstances a run's numbers came about; recorded with the run and never part of its identity."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch

import lossbench
from lossbench import devices, processes

__all__ = ["provenance"]


def provenance(device: torch.device) -> dict[str, Any]:
    """Code, libraries, device, threads, command line and process, as plain JSON values."""
    commit, dirty = _checkout()
    return {
        "lossbench": lossbench.__version__,
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "numba": importlib.metadata.version("numba"),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": devices.name_of(device),
        "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": torch.get_num_threads(),
        "tf32": devices.rounds_to_tf32(device),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "command": list(map(_readable, sys.argv)),
        "cwd": _readable(str(Path.cwd())),
        **processes.identity(),
    }


def _readable(text: str) -> str:
    """The text, with what is no UTF-8 in a name of the file system spelled out: JSON could not be read back."""
    return os.fsencode(text).decode(errors="backslashreplace")


@cache
def _checkout() -> tuple[str | None, bool | None]:
    """Commit and whether files differ from it, when the package runs from a git checkout of its own."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(changes)


def _git(root: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )
    return run.stdout.strip()
