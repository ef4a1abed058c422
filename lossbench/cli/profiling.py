"""What `run --profile` says of the time a run took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from lossbench.cli.terminal import say

if TYPE_CHECKING:
    from lossbench.cli.options import How
    from lossbench.spec import Preset
    from lossbench.stopwatch import Stopwatch

__all__ = ["profiled"]

COMPUTING = ("forward", "loss", "backward", "optimiser", "training")


@contextmanager
def profiled(preset: "Preset", how: "How") -> Iterator["Stopwatch"]:
    """A stopwatch for the run within the block, and its reading on stderr once the run has ended."""
    import torch

    from lossbench import costs, devices
    from lossbench.stopwatch import Stopwatch

    device = devices.pick(how.device)
    watch = Stopwatch(wait=partial(devices.wait, device))
    began = time.perf_counter()
    try:
        yield watch
    finally:
        if watch.epochs:
            total = time.perf_counter() - began
            # Reading the data, building the network, and what the store does after the last epoch are elsewhere.
            spent = {**watch.seconds, "elsewhere": total - sum(watch.seconds.values())}
            for phase, seconds in sorted(spent.items(), key=lambda each: -each[1]):
                say(f"{phase:12} {seconds:10.3f} s {100 * seconds / total:6.1f} %")
            reached = costs.estimate(preset).flops * watch.epochs / sum(watch.seconds[phase] for phase in COMPUTING)
            dtype = torch.bfloat16 if preset.precision == "bf16" else torch.float32
            possible = devices.product_rate(device, dtype)
            say(
                f"{reached / 1e9:.1f} billion operations a second in training, {100 * reached / possible:.1f} % of the "
                f"{possible / 1e9:.0f} that {devices.name_of(device)} reaches in matrix products in {preset.precision}"
            )
