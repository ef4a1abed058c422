"""What each entry point may import, seen in a real interpreter, since contracts cannot see deferred imports."""

import subprocess
import sys

import pytest

from lossbench.home import Home

HEAVY = ("torch", "torchvision", "pandas", "sklearn", "scipy", "matplotlib", "numba")

LOOK = """
import sys
from lossbench.cli import main
sys.argv[0] = "lossbench"
try:
    main()
except SystemExit as end:
    code = end.code or 0
print(code, *[name for name in sys.argv_heavy if name in sys.modules], file=sys.stderr)
"""


def imported(arguments: list[str], home: Home) -> list[str]:
    """The heavy modules a command has imported when it ends."""
    code = f"import sys; sys.argv_heavy = {HEAVY!r}\n" + LOOK
    return said([sys.executable, "-c", code, *arguments], home).split()[1:]


def said(command: list[str], home: Home) -> str:
    """The last line a process writes to stderr."""
    environment = {"LOSSBENCH_HOME": str(home.root), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "command", ["--help", "--version", "run --help", "sweep --help", "compare --help", "plot --help", "presets", "ls"]
)
def test_commands_that_only_read_import_nothing_heavy(command: str, home: Home) -> None:
    assert imported(command.split(), home) == []


@pytest.mark.parametrize("command", ["compare", "plot", "plot gradient -l lace -l focal:gamma=3", "sql SELECT(1)"])
def test_reading_a_store_never_imports_torch(command: str, home: Home) -> None:
    assert not {"torch", "torchvision", "pandas", "numba"} & set(imported(command.split(), home))


LOOKED = """
import gc, sys
looks = []
gc.callbacks.append(lambda phase, told: looks.append(phase))
from lossbench.cli import main
sys.argv[0] = "lossbench"
before = len(looks)
try:
    main()
except SystemExit:
    print(len(looks) - before, file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["compare", "plot", "ls"])
def test_a_command_that_reads_never_looks_for_garbage(command: str, home: Home) -> None:
    assert said([sys.executable, "-c", LOOKED, command], home) == "0"
