"""What does a loss cost? Forward and backward of every loss beside `F.cross_entropy`, eager and compiled.

    python benchmarks/losses.py                    every loss, at three sizes eager and at two of them compiled
    python benchmarks/losses.py --seconds 140      as much of it as fits; the same command again goes on
    python benchmarks/losses.py --loss focal --shape 4096x1000 --again
    python benchmarks/losses.py --device cuda --into /tmp/cuda.jsonl

Each measurement is one line of benchmarks/losses.jsonl, and benchmarks/losses.txt is the table of them all, written
anew by every command. What is there already is not measured a second time, unless with `--again`; whoever changes a
kernel deletes the file. On 2 cores the whole takes about half an hour, most of it the largest size and the compiler.

Each loss is measured in a process of its own, as a run trains one loss. In each round it and `F.cross_entropy` take
turns there, and each is given its fastest turn, so that what else the machine does slows both alike; of the rounds'
figures the median and the range are printed. A loss of several steps costs the sum of them. The process has been made
to keep buffers of up to 32 MiB, as one that trains for a while does: where they go back to the system after each call,
`F.cross_entropy`, which has three of them, is slowed down most.

Peak memory is what the first forward and backward of that size add to the resident size (to the allocator's peak on
CUDA), in units of the logits, the returned gradient included. The first line is `F.cross_entropy` beside itself.
"""

import argparse
import ctypes
import json
import multiprocessing
import platform
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench import losses
from lossbench.objective import Objective
from lossbench.schedules import Clock

CROSS_ENTROPY = "F.cross_entropy"
EAGER, COMPILED = "eager", "compiled"
PLAN = {
    ("128x100", EAGER): (5, 200),
    ("4096x1000", EAGER): (7, 5),
    ("128x100", COMPILED): (5, 200),
    ("4096x1000", COMPILED): (7, 5),
    ("8192x32000", EAGER): (3, 1),
}
"""Rounds, and turns in a round. At the largest size nothing is compiled: what it gains shows at the middle one."""

OTHERWISE = (5, 10)
LONGEST_CALL, LONGEST_LOSS = 20.0, 10.0
"""Seconds. A call that would take longer, by the time of the same loss at a smaller size, is not made; and no further
round begins once a loss has taken that long."""

SMALLEST_MEASURED = 4 << 20
"""Bytes of logits below which resident memory says nothing."""

KEPT_FREE = 2 << 30
"""Bytes of memory that a measurement leaves to the machine."""

Call = Callable[[], None]
Loss = Callable[[Tensor, Tensor], Tensor]
Record = dict[str, Any]


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


def size(shape: str) -> tuple[int, int]:
    rows, _, classes = shape.partition("x")
    return int(rows), int(classes)


def batch(rows: int, classes: int, device: str) -> tuple[Tensor, Tensor]:
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
    return [round(1e6 * each, 1) for each in best]


def interleaved(calls: list[Call], turns: int, rounds: int) -> list[list[float]]:
    """For each call its best time in every round, after one that is not counted where a round is short."""
    started = time.perf_counter()
    if turns > 1:
        best_times(calls, 1)
    found = [best_times(calls, turns)]
    while len(found) < rounds and time.perf_counter() - started < LONGEST_LOSS:
        found.append(best_times(calls, turns))
    return [list(times) for times in zip(*found, strict=True)]


def available() -> int:
    """Bytes of memory that nobody uses."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


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
    ctypes.CDLL(None).malloc_trim(0)  # What the process keeps from before would be used again, unseen.
    before, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            time.sleep(0.0002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        once()
    finally:
        done.set()
        watcher.join()
    return (peak - before) / logits.nbytes


def measured(text: str, shape: str, how: str, device: str) -> Record:
    """A loss beside `F.cross_entropy`, in this process."""
    rounds, turns = PLAN.get((shape, how), OTHERWISE)
    about = {"device": device, "shape": shape, "how": how, "loss": text, "turns": turns, "machine": machine()}
    spare = available() - KEPT_FREE
    resource.setrlimit(resource.RLIMIT_DATA, (spare, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    rows, classes = size(shape)
    logits, target = batch(rows, classes, device)
    both = [cross_entropy, mean_of(text, classes)]
    try:
        if how == COMPILED:
            return about | timed([torch.compile(each, fullgraph=True) for each in both], logits, target, rounds, turns)
        few, some = batch(8, classes, device)
        for each in both:  # What the first call of all allocates is not the loss's.
            call(each, few, some)()
        peak = round(peak_memory(call(both[1], logits, target), logits), 2)
        if logits.nbytes < SMALLEST_MEASURED:
            return about | timed(both, logits, target, rounds, turns)
        return about | {"peak": peak} | timed(both, logits, target, rounds, turns)
    except Exception as error:  # Whatever the compiler or the allocator raises is the answer to be printed.
        if "allocate memory" in str(error) or isinstance(error, MemoryError):
            return about | {"fault": f"needs more memory than the {spare / logits.nbytes:.0f} logits there are"}
        return about | {"fault": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:100]}"}


def timed(both: list[Loss], logits: Tensor, target: Tensor, rounds: int, turns: int) -> Record:
    calls = [call(each, logits, target) for each in both]
    # Freeing what is just below the largest threshold that glibc adapts to makes it keep twice as much.
    torch.zeros(31 << 18)
    base, own = interleaved(calls, turns, rounds)
    return {"base": base, "own": own}


def machine() -> str:
    """Processor, versions and threads."""
    where = f"{processor()}, {torch.get_num_threads()} threads"
    return f"{where}, Python {platform.python_version()}, torch {torch.__version__}, float32"


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def too_long(text: str, shape: str, how: str, device: str, records: Iterable[Record]) -> Record | None:
    """The record of a loss that is not measured, if its time at another size says that a call takes too long."""
    rows, classes = size(shape)
    for each in records:
        if (each["loss"], each["how"], each["device"]) != (text, how, device) or "own" not in each:
            continue
        other_rows, other_classes = size(each["shape"])
        seconds = 1e-6 * min(each["own"]) * (rows * classes) / (other_rows * other_classes)
        if other_rows >= 1024 and seconds > LONGEST_CALL:
            fault = f"not measured: a call takes about {seconds:.0f} s by its time at {each['shape']}"
            return {"device": device, "shape": shape, "how": how, "loss": text, "machine": machine(), "fault": fault}
    return None


def in_own_process(
    text: str, pairs: Sequence[tuple[str, str]], device: str, records: Mapping[Any, Record]
) -> Iterator[Record]:
    """A loss at these sizes, one after the other in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for shape, how in pairs:
            yield (
                too_long(text, shape, how, device, records.values())
                or pool.submit(measured, text, shape, how, device).result()
            )


def key(record: Record) -> tuple[str, str, str, str]:
    return record["device"], record["shape"], record["how"], record["loss"]


def read(path: Path) -> dict[tuple[str, str, str, str], Record]:
    """The latest record of everything that was measured."""
    if not path.exists():
        return {}
    return {key(each): each for each in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    middle, low, high = (f"{each:.{digits}f}" for each in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def line_of(record: Record) -> str:
    if "fault" in record:
        return f"{record['loss']:20}{'':4}{record['fault']}"
    pairs = list(zip(record["own"], record["base"], strict=True))
    parts = (
        f"{record['loss']:20}{len(pairs):>3}",
        f"{spread(record['base'], 0):>31}{spread(record['own'], 0):>30}",
        f"{spread([own / base for own, base in pairs], 2):>26}{spread([own - base for own, base in pairs], 0):>36}",
        f"{record['peak']:>7.2f}" if "peak" in record else f"{'-':>7}",
    )
    return "".join(parts)


def heading(record: Record) -> str:
    heads = ("loss", "n", "F.cross_entropy us", "loss us", "ratio", "us above", "peak")
    columns = "{:20}{:>3}{:>31}{:>30}{:>26}{:>36}{:>7}".format(*heads)
    turns = f"; n rounds of {record['turns']} turns, median (range)" if "turns" in record else ""
    return f"\n{record['shape']}, {record['how']}, {record['device']}{turns}\n{record['machine']}\n{columns}"


def table(records: Iterable[Record]) -> str:
    """Everything measured, one block for each device, size, way and machine."""
    sizes = {shape: place for place, (shape, _) in enumerate(PLAN)}

    def order(record: Record) -> tuple[object, ...]:
        shape = record["shape"]
        place = (record["device"], size(shape) not in map(size, sizes), size(shape), record["how"] == COMPILED)
        return (*place, record["machine"], record["loss"] != CROSS_ENTROPY, record["loss"])

    lines, block = ["$ python benchmarks/losses.py"], None
    for record in sorted(records, key=order):
        if (here := (*key(record)[:3], record["machine"])) != block:
            lines.append(heading(record))
            block = here
        lines.append(line_of(record))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", action="append", help="only these losses; repeatable")
    parser.add_argument("--shape", action="append", help="only this ROWSxCLASSES, or another one, eager; repeatable")
    parser.add_argument("--how", choices=(EAGER, COMPILED), help="only eager or only compiled")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing more after so long")
    parser.add_argument("--again", action="store_true", help="measure what was measured before, too")
    parser.add_argument("--into", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    asked = parser.parse_args()
    started = time.perf_counter()
    texts = (CROSS_ENTROPY, *(asked.loss or [entry.name for entry in losses.catalogue()]))
    pairs = [(shape, how) for shape, how in PLAN if not asked.shape or shape in asked.shape]
    pairs += [(shape, EAGER) for shape in asked.shape or () if (shape, EAGER) not in PLAN]
    pairs = [pair for pair in pairs if asked.how in (None, pair[1])]
    records = read(asked.into)
    done, all_of_them = 0, len(texts) * len(pairs)
    for text in texts:
        missing = [pair for pair in pairs if asked.again or (asked.device, *pair, text) not in records]
        done += len(pairs) - len(missing)
        if missing and time.perf_counter() - started < asked.seconds:
            for record in in_own_process(text, missing, asked.device, records):
                records[key(record)] = record
                with asked.into.open("a", encoding="utf-8") as file:
                    print(json.dumps(record), file=file)
                print(f"{record['shape']} {record['how']} {line_of(record)}", flush=True)
                done += 1
    asked.into.with_suffix(".txt").write_text(table(records.values()), encoding="utf-8")
    print(f"{done} of {all_of_them} measured, in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
