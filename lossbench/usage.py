"""How busy this machine is: its cores as the kernel counts them, its GPUs as their maker's tool reports them."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Meter"]

READ_SECONDS = 2.0
"""A look at the GPUs starts a process; a screen that is drawn more often sees the same reading again."""

TOOL_SECONDS = 2.0
"""What a hanging driver may cost the screen."""

_GPU_FIELDS = "index,utilization.gpu,memory.used,memory.total"


class Meter:
    """What is in use between one reading and the next."""

    def __init__(self) -> None:
        self._ticks = _ticks()
        self._tool = shutil.which("nvidia-smi")
        self._words = ""
        self._due = 0.0

    def read(self) -> str:
        """In words, such as `cpu 93 % of 16 cores  gpu 0 87 % 12.4 of 79.6 GiB`; empty where nothing tells."""
        if time.monotonic() >= self._due:
            self._words = "  ".join([*self._cores(), *self._gpus()])
            self._due = time.monotonic() + READ_SECONDS
        return self._words

    def _cores(self) -> Iterator[str]:
        (busy_before, all_before), (busy, total) = self._ticks, _ticks()
        if total > all_before:
            self._ticks = busy, total
            yield f"cpu {100 * (busy - busy_before) / (total - all_before):.0f} % of {os.cpu_count()} cores"

    def _gpus(self) -> Iterator[str]:
        if self._tool is None:
            return
        query = [self._tool, f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(query, capture_output=True, text=True, timeout=TOOL_SECONDS, check=True).stdout
            for line in told.splitlines():
                yield _gpu(*(field.strip() for field in line.split(",")))


def _gpu(index: str, load: str, used: str, total: str) -> str:
    # A card that shares its counters out to guests reports them as [N/A].
    known = used.isdecimal() and total.isdecimal()
    memory = f" {int(used) / 1024:.1f} of {int(total) / 1024:.1f} GiB" if known else ""
    return f"gpu {index} {load} %{memory}" if load.isdecimal() else f"gpu {index}{memory}"


def _ticks() -> tuple[int, int]:
    """Clock ticks that all cores together have been busy, and all there were; zeros where the kernel does not tell."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return 0, 0
    user, nice, system, idle, waiting, *other = map(int, first.split()[1:9])
    busy = user + nice + system + sum(other)
    return busy, busy + idle + waiting
