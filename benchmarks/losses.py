"""What does a loss cost? Forward and backward of every loss beside `F.cross_entropy`, eager and compiled.

    python benchmarks/losses.py                                   every loss, eager
    python benchmarks/losses.py --compiled --shape 4096x1000      compiled too
    python benchmarks/losses.py --loss focal --shape 8192x32000 --memory
    python benchmarks/losses.py --device cuda

In each round a loss and `F.cross_entropy` take turns in one process, and each is given its fastest turn, so that what
else the machine does slows both alike; of the rounds' figures the median and the range are printed. A loss of several
steps costs the sum of them. At medium sizes the ratio depends on whether the C library hands pages back to the system
between calls: before a loss with many large buffers has run in the process it does, and `F.cross_entropy`, which has
more buffers, is slowed down most. Peak memory is what forward and backward add to the resident size of a fresh process
(to the allocator's peak on CUDA), in units of the logits, the returned gradient included.
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

SHAPES = ("128x100", "4096x1000")
TURNS = {"128x100": 200, "128x1000": 100, "4096x1000": 4, "8192x32000": 1}
"""Turns in a round by shape; another shape gets ten."""

Call = Callable[[], None]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, target)


def mean_of(text: str, classes: int) -> Callable[[Tensor, Tensor], Tensor]:
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


def call(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Call:
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


def added_memory(text: str, shape: str, device: str) -> float:
    """Extra peak memory of one forward and backward, in units of the logits."""
    logits, target = batch(shape, device)
    classes = logits.shape[1]
    loss = cross_entropy if text == "F.cross_entropy" else mean_of(text, classes)
    once = call(loss, logits, target)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        once()
        return (torch.cuda.max_memory_allocated() - before) / logits.nbytes
    small, few = batch(f"8x{classes}", device)
    call(loss, small, few)()
    before, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    once()
    done.set()
    watcher.join()
    return (peak - before) / logits.nbytes


def compiled(text: str, logits: Tensor, target: Tensor) -> Call | str:
    """The compiled loss, called once; or why there is none."""
    # What one loss has compiled must not count towards the limit of variants of the next.
    torch.compiler.reset()
    function = call(torch.compile(mean_of(text, logits.shape[1]), fullgraph=True), logits, target)
    try:
        function()
    except Exception as error:  # Whatever the compiler raises is the answer to be printed.
        return f"not compiled: {type(error).__name__}"
    return function


def measure(texts: list[str], shape: str, device: str, rounds: int, *, with_compiled: bool) -> None:
    logits, target = batch(shape, device)
    turns = TURNS.get(shape, 10)
    print(
        f"\n{shape}, {device}, {torch.get_num_threads()} threads, n = {rounds} rounds of {turns} turns; median (range)"
    )
    heads = (
        "loss",
        "F.cross_entropy us",
        "loss us",
        "ratio",
        "us above",
        *(["ratio compiled"] if with_compiled else []),
    )
    print("{:20}{:>28}{:>28}{:>24}{:>30}".format(*heads[:5]) + "".join(f"{each:>24}" for each in heads[5:]))
    for text in texts:
        calls = [call(cross_entropy, logits, target), call(mean_of(text, logits.shape[1]), logits, target)]
        quick = compiled(text, logits, target) if with_compiled else ""
        if not isinstance(quick, str):
            calls.append(quick)
        best_times(calls, 1)
        base, own, *rest = zip(*(best_times(calls, turns) for _ in range(rounds)), strict=True)
        ratios = [one / other for one, other in zip(own, base, strict=True)]
        above = [one - other for one, other in zip(own, base, strict=True)]
        line = f"{text:20}{spread([*base], 0):>28}{spread([*own], 0):>28}{spread(ratios, 2):>24}{spread(above, 0):>30}"
        more = [spread([one / other for one, other in zip(each, base, strict=True)], 2) for each in rest] or [quick]
        print((line + "".join(f"{each:>24}" for each in more if isinstance(each, str))).rstrip(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", action="append", help="only these losses; repeatable")
    parser.add_argument("--shape", action="append", help="ROWSxCLASSES; repeatable")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiled", action="store_true", help="measure the losses compiled, too; takes minutes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead of time")
    asked = parser.parse_args()
    print(f"$ python {' '.join(sys.argv)}")
    print(f"{processor()}, Python {platform.python_version()}, torch {torch.__version__}, float32")
    texts = asked.loss or [entry.name for entry in losses.catalogue()]
    for shape in asked.shape or SHAPES:
        if not asked.memory:
            measure(texts, shape, asked.device, asked.rounds, with_compiled=asked.compiled)
            continue
        # A fresh process each: an allocator that has grown once does not show its peak again.
        context = multiprocessing.get_context("spawn")
        print(f"\n{shape}, {asked.device}: peak memory in units of the logits")
        for text in ("F.cross_entropy", *texts):
            with context.Pool(1) as pool:
                print(f"{text:20}{pool.apply(added_memory, (text, shape, asked.device)):8.2f}", flush=True)


if __name__ == "__main__":
    main()
