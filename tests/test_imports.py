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
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={"LOSSBENCH_HOME": str(home.root), "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    return ended.stderr.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "command", ["--help", "--version", "run --help", "sweep --help", "compare --help", "plot --help", "presets", "ls"]
)
def test_commands_that_only_read_import_nothing_heavy(command: str, home: Home) -> None:
    assert imported(command.split(), home) == []


@pytest.mark.parametrize("command", ["compare", "plot", "plot gradient -l lace -l focal:gamma=3", "sql SELECT(1)"])
def test_reading_a_store_never_imports_torch(command: str, home: Home) -> None:
    assert not {"torch", "torchvision", "pandas", "numba"} & set(imported(command.split(), home))
