"""The device a run computes on: choosing it, waiting for it, and what it is called and holds."""

import os
import platform
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from lossbench.errors import UsageError

__all__ = [
    "Idle",
    "begin_peak",
    "check_precision",
    "describe_memory",
    "name_of",
    "out_of_memory",
    "peak_mib",
    "pick",
    "product_rate",
    "rounds_to_tf32",
    "wait",
]

MIB = 2**20

CPUINFO = Path("/proc/cpuinfo")

T = TypeVar("T")


class Idle:
    """How long a device has nothing to do because what it is to work on is not there yet.

    A GPU works behind the process that gives it orders, so its own clock is read: the time from the end of its last
    order to the arrival of the next thing, with the copy of that thing and what else is done to it on the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds = 0.0
        self._waits: list[tuple[torch.Event, torch.Event]] = []

    def awaiting(self, things: Iterable[T]) -> Iterator[T]:
        """The same things, the wait for each counted."""
        cuda = self._device.type == "cuda"
        iterator = iter(things)
        while True:
            before, began = self._mark() if cuda else None, time.perf_counter()
            thing = next(iterator, None)
            if thing is None:
                return
            if before is None:
                self._seconds += time.perf_counter() - began
            else:
                self._waits.append((before, self._mark()))
            yield thing

    @property
    def seconds(self) -> float:
        """Of all waits together; to be asked once the device has done everything it was asked to."""
        return self._seconds + sum(before.elapsed_time(after) for before, after in self._waits) / 1000

    def _mark(self) -> torch.Event:
        event = torch.Event(self._device, enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event


def pick(name: str) -> torch.device:
    """The device of that name; `auto` is the first GPU, or the CPU where there is none.

    Raises:
        UsageError: there is no such device.
    """
    found = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"there is no device {name!r}; write auto, cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= found):
        raise UsageError(f"there is no device {name!r} here; this machine has the CPU and {found} CUDA devices")
    return device


def check_precision(name: str, device: torch.device) -> None:
    """
    Raises:
        UsageError: it is bf16, and the device has no instructions for it: then it works, but tens of times slower.
    """
    if name != "bf16":
        return
    if device.type == "cuda":
        lacking = not torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        flags = set(_told_of_cpu("flags", "Features").split())
        lacking = bool(flags) and not flags & {"amx_bf16", "avx512_bf16", "bf16", "svebf16"}
    if lacking:
        raise UsageError(f"precision=bf16: {name_of(device)} has no instructions for it; use precision=fp32")


def rounds_to_tf32(device: torch.device) -> bool:
    """Whether convolutions in float32 keep ten bits of mantissa only, as PyTorch has it on GPUs by default."""
    return device.type == "cuda" and torch.backends.cudnn.allow_tf32


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of the best of some large matrix products on the present number of threads."""
    size = 8192 if device.type == "cuda" else 2048
    left, right = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(5):
        wait(device)
        began = time.perf_counter()
        left @ right
        wait(device)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def _told_of_cpu(*names: str) -> str:
    """What the kernel says of the first CPU under one of these names; nothing where it does not tell."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def name_of(device: torch.device) -> str:
    """What its maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _told_of_cpu("model name") or platform.machine()


def wait(device: torch.device) -> None:
    """Until everything asked of it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def begin_peak(device: torch.device) -> None:
    """Begin to look for the largest allocation; a process's resident size cannot be begun anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_mib(device: torch.device) -> float:
    """The largest allocation since `begin_peak`; on the CPU the largest resident size of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)


def out_of_memory(error: Exception) -> bool:
    """Whether that is what an error means; the CPU allocator has no exception of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def describe_memory(device: torch.device) -> str:
    """How much there is, in words for an error message."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return f"this run held {peak_mib(device):.0f} of the {total / MIB:.0f} MiB of {name_of(device)}"
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"the machine has {pages / MIB:.0f} MiB"
