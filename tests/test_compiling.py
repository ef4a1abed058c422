"""Compiled training: refused where nothing can be compiled."""

from pathlib import Path

import pytest
import torch

from lossbench import compiling
from lossbench.errors import UsageError


def test_without_a_compiler_the_cpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs a C"):
        compiling.refuse(torch.device("cpu"))
    compiling.refuse(torch.device("cuda"))
