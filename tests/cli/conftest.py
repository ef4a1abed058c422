"""The command line as a test sees it: arguments in, exit code and both streams out."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lossbench.cli import main
from lossbench.home import Home


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Lossbench = Callable[..., Ended]


@pytest.fixture
def lossbench(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lossbench:
    """Run a command in this process, on an empty home."""
    monkeypatch.setenv("LOSSBENCH_HOME", str(home.root))
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["lossbench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return call
