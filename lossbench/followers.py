"""What the ranks beside the first do: train what it trains, in step with it, and record nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lossbench import data, devices
from lossbench.ranks import World
from lossbench.spec import RunSpec
from lossbench.trainer import Trainer

__all__ = ["Work", "train_along"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the first rank tells the others."""

    spec: RunSpec
    data_folder: Path
    compile: bool
    threads: int
    largest: int | None
    state: dict[str, Any] | None
    """Of the trainer they go on from; None at the beginning of a run."""


def train_along(world: World, device: str) -> None:
    """Take part in one training program on a device of this machine.

    Raises:
        LossbenchError: another rank is lost, or cannot train.
    """
    work: Work = world.told()
    world = World(world.rank, world.size, work.largest)
    torch.set_num_threads(work.threads)
    try:
        dataset = data.load(work.spec.preset.data, work.data_folder)
        trainer = Trainer(work.spec, dataset, device=devices.pick(device), compile=work.compile, world=world)
        if work.state is not None:
            trainer.load(work.state)
    # Whatever it is, it is for the first rank to report.
    except Exception as error:
        world.agree(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
        raise
    world.agree()
    for _ in trainer.epochs():
        pass
