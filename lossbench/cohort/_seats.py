"""Where the runs of a program sit: the first layer multiplies groups of places, and a group sees one seed's batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Seats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """As many runs of each seed, one seed after the other; the last group of every seed may have empty places."""

    seeds: tuple[int, ...]
    each: int
    """Runs of one seed."""
    groups: int
    """Groups of one seed."""
    group_size: int

    @classmethod
    def of(cls, seeds: Sequence[int], group_size: int) -> "Seats":
        """Seats for runs of these seeds, which are sorted and equally often among them."""
        distinct = tuple(dict.fromkeys(seeds))
        each = len(seeds) // len(distinct)
        return cls(seeds=distinct, each=each, groups=-(-each // group_size), group_size=group_size)

    @property
    def runs(self) -> int:
        return len(self.seeds) * self.each

    @property
    def places(self) -> int:
        return len(self.seeds) * self.groups * self.group_size

    def seated(self, values: Tensor, axis: int) -> Tensor:
        """A view of values [..., P, ...] as [..., S, runs of a seed, ...], without the empty places."""
        before, after = values.shape[:axis], values.shape[axis + 1 :]
        return values.view(*before, len(self.seeds), -1, *after).narrow(axis + 1, 0, self.each)

    def per_run(self, values: Tensor, axis: int) -> Tensor:
        """Values [..., P, ...] as [..., R, ...]."""
        return self.seated(values, axis).flatten(axis, axis + 1)
