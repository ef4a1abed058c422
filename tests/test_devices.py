"""The device a run computes on."""

import time
from pathlib import Path

import pytest
import torch

from lossbench import devices
from lossbench.devices import Idle
from lossbench.errors import UsageError

CPU = torch.device("cpu")


def test_only_the_making_of_things_counts_as_waiting_for_them():
    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    idle = Idle(torch.device("cpu"))
    began = time.perf_counter()
    seen = []
    for number in idle.awaiting(slow()):
        seen.append(number)
        time.sleep(0.05)
    assert seen == [0, 1, 2]
    assert 3 * 0.02 <= idle.seconds <= time.perf_counter() - began - 3 * 0.05


@pytest.mark.parametrize(
    ("flags", "refused"), [("fpu avx2 fma", True), ("fpu avx512_bf16", False), ("amx_bf16", False)]
)
def test_bf16_is_refused_where_a_cpu_would_do_it_step_by_step(
    flags: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nmodel name\t: Old Faithful\nflags\t\t: {flags}\n")
    monkeypatch.setattr(devices, "CPUINFO", told)
    devices.check_precision("fp32", CPU)
    if not refused:
        devices.check_precision("bf16", CPU)
        return
    with pytest.raises(UsageError, match="precision=bf16: Old Faithful has no instructions for it; use precision=fp32"):
        devices.check_precision("bf16", CPU)


def test_a_machine_that_tells_nothing_of_its_cpu_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "absent")
    devices.check_precision("bf16", CPU)
    assert devices.name_of(CPU)
