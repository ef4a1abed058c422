"""What does a loss cost? Forward and backward of every loss beside `F.cross_entropy`, eager and compiled.

    python benchmarks/losses.py                                   every loss, eager
    python benchmarks/losses.py --compiled --shape 4096x1000      compiled too, beside `F.cross_entropy` compiled
    python benchmarks/losses.py --loss focal --shape 8192x32000
    python benchmarks/losses.py --device cuda

Each loss is measured in a process of its own, as a run trains one loss. In each round it and `F.cross_entropy` take
turns there, and each is given its fastest turn, so that what else the machine does slows both alike; of the rounds'
figures the median and the range are printed. A loss of several steps costs the sum of them. The process matters at
medium sizes: whether the C library hands large buffers back to the system after each call depends on what was allocated
there before, and `F.cross_entropy`, which has three of them, is slowed down most; `--warm` keeps them, for both.

Peak memory is what the first forward and backward of that size add to the resident size (to the allocator's peak on
CUDA), in units of the logits, the returned gradient included. The first line is `F.cross_entropy` beside itself.
"""

import argparse
import multiprocessing
import platform
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lossbench import losses
from lossbench.objective import Objective
from lossbench.schedules import Clock

CROSS_ENTROPY = "F.cross_entropy"
SHAPES = ("128x100", "4096x1000")
TURNS = {"128x100": 200, "128x1000": 100, "4096x1000": 4, "8192x32000": 1}
"""Turns in a round by shape; another shape gets ten."""

SMALLEST_MEASURED = 4 << 20
"""Bytes of logits below which resident memory says nothing."""

Call = Callable[[], None]
Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, target)


def mean_of(text: str, classes: int) -> Loss:
    if text == CROSS_ENTROPY:
        return cross_entropy
    ref = losses.resolve(text)
    if len(losses.find(ref).steps) == 1:
        function = losses.instance(ref, classes=classes)
        return lambda logits, target: function(logits, target).mean()
    steps = Objective(ref, target=torch.arange(classes), classes=classes).steps(Clock(epoch=0, epochs=1))
    return lambda logits, target: torch.stack([step(logits, target).mean() for step in steps]).sum()


def batch(shape: str, device: str) -> tuple[Tensor, Tensor]:
    rows, classes = map(int, shape.split("x"))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, classes, generator=generator)
    target = torch.randint(0, classes, (rows,), generator=generator)
    return logits.to(device).requires_grad_(), target.to(device)


def call(loss: Loss, logits: Tensor, target: Tensor) -> Call:
    def run() -> None:
        logits.grad = None
        loss(logits, target).backward()
        if logits.is_cuda:
            torch.cuda.synchronize()

    return run


def best_times(calls: list[Call], turns: int) -> list[float]:
    """Microseconds of each call's fastest turn."""
    best = [float("inf")] * len(calls)
    for _ in range(turns):
        for place, each in enumerate(calls):
            started = time.perf_counter()
            each()
            best[place] = min(best[place], time.perf_counter() - started)
    return [1e6 * each for each in best]


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    middle, low, high = (f"{each:.{digits}f}" for each in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


def peak_memory(once: Call, logits: Tensor) -> float:
    """What one call adds to the memory in use at its peak, in units of the logits."""
    if logits.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        once()
        return (torch.cuda.max_memory_allocated() - before) / logits.nbytes
    logits.grad = None
    before, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            time.sleep(0.0002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    once()
    done.set()
    watcher.join()
    return (peak - before) / logits.nbytes


def compiled(function: Loss, logits: Tensor, target: Tensor) -> Call:
    """The compiled loss, called once."""
    quick = call(torch.compile(function, fullgraph=True), logits, target)
    quick()
    return quick


def interleaved(calls: list[Call], turns: int, rounds: int) -> list[list[float]]:
    """For each call its best time in every round, after one that is not counted."""
    best_times(calls, 1)
    return [list(times) for times in zip(*(best_times(calls, turns) for _ in range(rounds)), strict=True)]


def line_of(text: str, shape: str, device: str, rounds: int, turns: int, *, with_compiled: bool, warm: bool) -> str:
    """One line of the table: a loss beside `F.cross_entropy`, both as they are and, if asked, both compiled."""
    logits, target = batch(shape, device)
    loss = mean_of(text, logits.shape[1])
    calls = [call(cross_entropy, logits, target), call(loss, logits, target)]
    few, some = batch(f"8x{logits.shape[1]}", device)
    for each in (cross_entropy, loss):  # What the first call of all allocates is not the loss's.
        call(each, few, some)()
    memory = f"{peak_memory(calls[1], logits):.2f}" if logits.nbytes >= SMALLEST_MEASURED else "-"
    if warm:
        # Freeing what is just below the largest threshold that glibc adapts to makes it keep twice as much.
        torch.zeros(31 << 18)
    line = compared(text, interleaved(calls, turns, rounds)) + f"{memory:>8}"
    if not with_compiled:
        return line
    try:
        quick = [compiled(each, logits, target) for each in (cross_entropy, loss)]
    except Exception as error:  # Whatever the compiler raises is the answer to be printed.
        return f"{line}\n{'':8}not compiled: {type(error).__name__}: {str(error).strip().splitlines()[0][:100]}"
    return line + "\n" + compared("  compiled", interleaved(quick, turns, rounds))


def compared(text: str, times: list[list[float]]) -> str:
    base, own = times
    ratios = [one / other for one, other in zip(own, base, strict=True)]
    above = [one - other for one, other in zip(own, base, strict=True)]
    return f"{text:20}{spread(base, 0):>28}{spread(own, 0):>28}{spread(ratios, 2):>22}{spread(above, 0):>30}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", action="append", help="only these losses; repeatable")
    parser.add_argument("--shape", action="append", help="ROWSxCLASSES; repeatable")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiled", action="store_true", help="measure the losses compiled, too; takes minutes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--warm", action="store_true", help="in a process that keeps its large buffers")
    asked = parser.parse_args()
    print(f"$ python {' '.join(sys.argv)}")
    print(f"{processor()}, Python {platform.python_version()}, torch {torch.__version__}, float32")
    texts = asked.loss or [entry.name for entry in losses.catalogue()]
    context = multiprocessing.get_context("spawn")
    for shape in asked.shape or SHAPES:
        turns = TURNS.get(shape, 10)
        print(
            f"\n{shape}, {asked.device}, {torch.get_num_threads()} threads; "
            f"n = {asked.rounds} rounds of {turns} turns; median (range)"
        )
        heads = ("loss", "F.cross_entropy us", "loss us", "ratio", "us above", "peak")
        print("{:20}{:>28}{:>28}{:>22}{:>30}{:>8}".format(*heads))
        how = {"with_compiled": asked.compiled, "warm": asked.warm}
        for text in (CROSS_ENTROPY, *texts):
            with context.Pool(1) as pool:
                line = pool.apply(line_of, (text, shape, asked.device, asked.rounds, turns), how)
            print(line, flush=True)


if __name__ == "__main__":
    main()
