"""A network's training pass as compiled code, where that can be had."""

import logging
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.errors import UsageError

__all__ = ["Pass", "compiled", "refuse"]

Pass = Callable[[Tensor], Tensor]


def refuse(device: torch.device) -> None:
    """
    Raises:
        UsageError: nothing can be compiled for this device.
    """
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise UsageError("compile=on needs a C++ compiler on the CPU, and there is none here; use compile=off")


def compiled(model: nn.Module, example: Tensor, autocast: Callable[[], Any]) -> tuple[Pass | None, str]:
    """Compile forward and backward passes for inputs of the example's shape.

    On CUDA the pass is captured as a graph too, so that launching its kernels costs nothing.

    Returns:
        The compiled pass, or None and in one line why there is none. Weights and buffers are left as they were.
    """
    # A graph is captured in the second pass, after one that warms up; the third is the first of those to come.
    passes = 3 if example.is_cuda else 1
    # A CUDA toolkit that finds no GPU is no news to whoever compiles for the CPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made: Pass = torch.compile(model, mode="reduce-overhead" if example.is_cuda else "default")
    try:
        with torch.random.fork_rng([example.device] if example.is_cuda else []), autocast():
            for _ in range(passes):
                made(example).float().sum().backward()  # type: ignore[no-untyped-call]
                model.zero_grad()
    # A compiler is a large program of other people's, and whatever goes wrong in it, training can go on without.
    except Exception as error:
        return None, f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    finally:
        model.load_state_dict(before)
        model.zero_grad()
    return made, ""
