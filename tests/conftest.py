"""Fixtures every test may use."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from lossbench.home import Home

# Tests run side by side, one per core; torch reads this when a test first imports it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs us in the background has SIGINT ignored, which the programs under test would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something about the machine, not about the code.
settings.register_profile("lossbench", deadline=None)
settings.load_profile("lossbench")

REAL_DATA = Path(os.environ.get("LOSSBENCH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def garbage() -> Iterator[None]:
    """A command leaves its garbage to the end of its process, which here goes on."""
    yield
    gc.unfreeze()
    gc.enable()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home of this test's own."""
    made = Home(tmp_path / ".lossbench")
    made.create()
    return made


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Prepare one real data set, such as `real_data("cifar100")`, and give the `--data-dir` that holds it.

    The sets come from the folder LOSSBENCH_TEST_DATA (by default ../shared/data beside the checkout), which is no part
    of the project; a test that asks for one is skipped where the folder is not there.
    """

    def prepare(name: str) -> Path:
        script = REAL_DATA / "prepare.py"
        if not script.is_file():
            pytest.skip(f"real data set {name} is not at {REAL_DATA}")
        # Workers of one parallel session share the parent of their base folders, and one preparation.
        folder = tmp_path_factory.getbasetemp().parent / "real-data"
        folder.mkdir(exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            done = folder / f"{name}.done"
            if not done.exists():
                subprocess.run([sys.executable, script, folder, name], check=True, capture_output=True)
                done.touch()
        return folder

    return prepare
