"""The machine's load in words, from the kernel and from a tool that may be absent, odd or stuck."""

import os
import re
from pathlib import Path

import pytest

from lossbench import usage
from lossbench.usage import Meter


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program in the place of the GPU maker's."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def after_some_work(meter: Meter) -> str:
    while not (words := meter.read()):
        meter._due = 0.0
        sum(range(10**6))
    return words


def test_cores_that_work_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = re.fullmatch(r"cpu (\d+) % of (\d+) cores", after_some_work(Meter()))
    assert found is not None
    assert 0 < int(found[1]) <= 100
    assert int(found[2]) == os.cpu_count()


def test_every_gpu_is_named_with_load_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, monkeypatch, "echo '0, 87, 12698, 81559'; echo '1, [N/A], [N/A], [N/A]'")
    assert Meter().read().endswith("gpu 0 87 % 12.4 of 79.6 GiB  gpu 1")


@pytest.mark.parametrize("script", ["exit 9", "sleep 30"])
def test_a_tool_that_fails_or_hangs_costs_only_its_words(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path, monkeypatch, f"exec {script}" if script.startswith("sleep") else script)
    monkeypatch.setattr(usage, "TOOL_SECONDS", 0.1)
    assert "gpu" not in Meter().read()


def test_a_screen_drawn_often_does_not_ask_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    tool(tmp_path, monkeypatch, f"echo x >> {calls}; echo '0, 1, 1024, 2048'")
    meter = Meter()
    assert {meter.read() for _ in range(20)} == {meter.read()}
    assert calls.read_text() == "x\n"
