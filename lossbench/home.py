"""Where a project keeps its runs: one folder, found upwards from the current directory."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lossbench.errors import StoreError

__all__ = ["Home", "Keep", "find_home"]

FOLDER = ".lossbench"

Keep = Literal["none", "last", "all"]
"""Which checkpoints outlive a finished run: none, that of the last epoch, or one of every epoch."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one project's runs, and the places inside it."""

    root: Path
    checkpoint_folder: Path | None = None
    """Where checkpoints are kept, if not inside; may be shared with other machines."""

    @property
    def store(self) -> Path:
        return self.root / "store.duckdb"

    @property
    def lock(self) -> Path:
        return self.root / "store.lock"

    @property
    def journals(self) -> Path:
        return self.root / "journal"

    @property
    def checkpoints(self) -> Path:
        return self.checkpoint_folder or self.root / "checkpoint"

    def checkpoint(self, run_id: str) -> Path:
        return self.checkpoints / f"{run_id}.pt"

    def create(self) -> None:
        """Make the folders.

        Raises:
            StoreError: they cannot be made or written to.
        """
        try:
            for folder in (self.journals, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)
                if not os.access(folder, os.W_OK, effective_ids=True):
                    raise PermissionError(13, "Permission denied", str(folder))
        except OSError as error:
            raise StoreError(
                f"cannot write to {self.root} ({error.strerror}); name a writable folder with --home or LOSSBENCH_HOME"
            ) from error


def find_home(named: str | Path | None = None) -> Home:
    """The home the user named, else `LOSSBENCH_HOME`, else the nearest `.lossbench` upwards, else one here.

    Raises:
        StoreError: its name is not UTF-8.
    """
    root = _root(named)
    try:
        str(root).encode()
    except UnicodeEncodeError:
        name = os.fsencode(root).decode(errors="backslashreplace")
        raise StoreError(
            f"{name} is no name in UTF-8, as DuckDB wants it; name another folder with --home or LOSSBENCH_HOME"
        ) from None
    return Home(root)


def _root(named: str | Path | None) -> Path:
    if chosen := named or os.environ.get("LOSSBENCH_HOME"):
        return Path(chosen).expanduser().absolute()
    here = Path.cwd()
    return next((each / FOLDER for each in (here, *here.parents) if (each / FOLDER).is_dir()), here / FOLDER)
