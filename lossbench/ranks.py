"""The processes that train one network together, each on a device of its own, through `torch.distributed`.

Every process, called a rank, holds the network and walks the same order of rows. Of each batch it takes its share, and
gradients are summed before every update, so that all of them hold the same weights at any time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lossbench.errors import LossbenchError

__all__ = ["World", "joined"]

PATIENCE = timedelta(hours=1)
"""How long a rank waits for another one, which may be preparing data."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train together; a single one has nobody to wait for.

    Methods that take the word of all ranks are to be called by all of them, in one order.

    Raises:
        LossbenchError: from each of those methods, where another rank is lost.
    """

    rank: int = 0
    size: int = 1
    largest: int | None = None
    """The most rows in one forward pass; what a rank holds beyond them passes later, before the same update."""
    lost: Callable[[], str] = str
    """What is known of a rank that is lost."""

    def pieces(self, rows: Tensor) -> tuple[Tensor, ...]:
        """This rank's share of the rows of a batch [N], in pieces for one forward pass each.

        Shares are neighbouring rows and differ by one row at most.
        """
        share = torch.tensor_split(rows, self.size)[self.rank]
        return torch.tensor_split(share, -(-len(share) // (self.largest or len(share) or 1)) or 1)

    def part(self, rows: int) -> slice:
        """The rows that this rank evaluates; see `gathered`."""
        each = -(-rows // self.size)
        return slice(self.rank * each, min((self.rank + 1) * each, rows))

    def gathered(self, mine: Tensor, rows: int) -> Tensor:
        """What all ranks have made of their `part` of so many rows, in the order of the rows [D, ...]."""
        if self.size == 1:
            return mine
        each = -(-rows // self.size)
        padded = mine.new_zeros(each, *mine.shape[1:])
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        with self._others():
            dist.all_gather(parts, padded)
        return torch.cat(parts)[:rows]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over ranks in place of each tensor, all of one type and device."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([each.reshape(-1) for each in tensors])
        with self._others():
            dist.all_reduce(flat)
        for each, total in zip(tensors, torch.split(flat, [each.numel() for each in tensors]), strict=True):
            each.copy_(total.view_as(each))

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over ranks in place of each tensor."""
        self.add(tensors)
        for each in tensors if self.size > 1 else ():
            each /= self.size

    def first(self, tensor: Tensor) -> Tensor:
        """What the first rank holds, in place, so that whatever is decided by it is decided alike."""
        if self.size > 1:
            with self._others():
                dist.broadcast(tensor, src=0)
        return tensor

    def any(self, wish: bool) -> bool:
        """Whether one rank at least has that wish. This waits for the ranks, never for their devices."""
        if self.size == 1:
            return wish
        wishes = torch.tensor([int(wish)])
        with self._others():
            dist.all_reduce(wishes)
        return bool(wishes)

    def told(self, word: Any = None) -> Any:
        """What the first rank says, any value that can be pickled."""
        words = [word]
        with self._others():
            dist.broadcast_object_list(words, src=0, device=torch.device("cpu"))
        return words[0]

    def agree(self, problem: str = "") -> None:
        """
        Raises:
            LossbenchError: one of the ranks has a problem.
        """
        if self.size == 1:
            return
        problems: list[str] = [""] * self.size
        with self._others():
            dist.all_gather_object(problems, problem)
        for rank, each in enumerate(problems):
            if each:
                raise LossbenchError(f"process {rank} of {self.size} cannot train: {each}")

    @contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            known = self.lost() or next(iter(str(error).splitlines()), "")
            raise LossbenchError(f"one of the {self.size} processes that train together was lost: {known}") from error


@contextmanager
def joined(store: dist.Store, world: World, *, cuda: bool) -> Iterator[World]:
    """Within the block the ranks that meet in `store` hear each other: over NCCL from GPU to GPU, else over Gloo.

    Raises:
        LossbenchError: they do not come together.
    """
    with world._others():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=store,
            rank=world.rank,
            world_size=world.size,
            timeout=PATIENCE,
        )
    try:
        yield world
    finally:
        dist.destroy_process_group()
