"""What does a loss cost? Forward and backward of every loss beside `F.cross_entropy`, eager and compiled.

    python benchmarks/losses.py                  the whole table on this machine's CPU
    python benchmarks/losses.py --device cuda
    python benchmarks/losses.py --loss focal --shape 8192x32000 --memory

Times are the best of interleaved repetitions, so that a busy machine slows every column alike. Peak memory is what
forward and backward add to the resident size of a fresh process (to the allocator's peak on CUDA), in units of the
logits, the returned gradient included.
"""

import argparse
import multiprocessing
import platform
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lossbench import losses

SHAPES = ("128x100", "4096x1000")
BUDGET = {"128x100": 300, "128x1000": 150, "4096x1000": 8, "8192x32000": 3}
"""Repetitions by shape; another shape gets ten."""

Call = Callable[[], None]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, target)


def mean_of(text: str, classes: int) -> Callable[[Tensor, Tensor], Tensor]:
    function = losses.instance(text, classes=classes)
    return lambda logits, target: function(logits, target).mean()


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


def best_times(calls: list[Call], repetitions: int) -> list[float]:
    for each in calls:
        each()
    best = [float("inf")] * len(calls)
    for _ in range(repetitions):
        for place, each in enumerate(calls):
            started = time.perf_counter()
            each()
            best[place] = min(best[place], time.perf_counter() - started)
    return best


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


def measure(texts: list[str], shape: str, device: str, compiled: bool) -> None:
    logits, target = batch(shape, device)
    classes = logits.shape[1]
    repetitions = BUDGET.get(shape, 10)
    print(f"\n{shape}, {device}, {torch.get_num_threads()} threads, best of {repetitions}")
    print(f"{'loss':20}{'eager us':>12}{'x':>7}{'+us':>8}{'compiled us':>14}{'x':>7}")
    for text in texts:
        loss = mean_of(text, classes)
        calls = [call(cross_entropy, logits, target), call(loss, logits, target)]
        if compiled:
            calls.append(call(torch.compile(loss), logits, target))
        base, eager, *rest = (1e6 * each for each in best_times(calls, repetitions))
        line = f"{text:20}{eager:12.0f}{eager / base:7.2f}{eager - base:+8.0f}"
        print(line + "".join(f"{each:14.0f}{each / base:7.2f}" for each in rest), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", action="append", help="only these losses; repeatable")
    parser.add_argument("--shape", action="append", help="ROWSxCLASSES; repeatable")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--eager", action="store_true", help="leave the compiled column out")
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead of time")
    asked = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    )
    texts = asked.loss or [entry.name for entry in losses.catalogue() if len(entry.steps) == 1]
    for shape in asked.shape or SHAPES:
        if not asked.memory:
            measure(texts, shape, asked.device, compiled=not asked.eager)
            continue
        # A fresh process each: an allocator that has grown once does not show its peak again.
        context = multiprocessing.get_context("spawn")
        print(f"\n{shape}, {asked.device}: peak memory in units of the logits")
        for text in ("F.cross_entropy", *texts):
            with context.Pool(1) as pool:
                print(f"{text:20}{pool.apply(added_memory, (text, shape, asked.device)):8.2f}", flush=True)


if __name__ == "__main__":
    main()
