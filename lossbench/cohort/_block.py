"""The memory in which a block of steps leaves what the record needs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lossbench.cohort._seats import Seats
from lossbench.cohort._stack import Stack
from lossbench.objective import Scores

__all__ = ["RECORDED", "Block", "norms"]

RECORDED = 5
"""Sums of an epoch: objective, NLL, hits, norm of all gradients, norm of the last layer's."""

BATCHES = 32
"""Batches of a block. Their number must not depend on the runs, since sums of sums round as they are divided."""

GRADIENT_BYTES = 2**20
"""Gradients are kept until their norms are taken, but never more of them than this, so that they stay in the cache."""


class Block:
    """N steps on batches of B rows, of which the first `rows` are real; empty places and rows stay zero.

    Views that a step needs are made once, since on small networks making a view costs as much as filling it.
    """

    def __init__(self, stack: Stack, seats: Seats, *, steps: int, batch: int, rows: int) -> None:
        last = stack.weights[-1]
        classes = last.shape[1]
        self._seats = seats
        self._rows = rows
        self._logits = last.new_zeros(steps, seats.places, classes, batch)
        self.logits = self._logits.unbind()
        """[P, C, B] per step"""
        kept = max(1, min(steps, GRADIENT_BYTES // sum(layer.nbytes for layer in stack.weights)))
        self._gradients = [layer.new_zeros(kept, *layer.shape) for layer in stack.weights]
        self._slots = list(zip(*(layer.unbind() for layer in self._gradients), strict=True))
        self._norms: list[tuple[Tensor, Tensor]] = []
        self._fresh = 0
        self.scores = Scores(seats.runs, rows, classes, dtype=last.dtype, device=last.device)
        self.upstream = last.new_zeros(seats.places, classes, batch)
        """Gradient in the logits of one step [P, C, B]"""
        by_seed = (len(seats.seeds), seats.each)
        self.seated = [seats.seated(each, 0)[..., :rows].movedim(2, 0) for each in self.logits]
        """The real logits of each step [C, S, R / S, B]"""
        self.logits_by_seed = self.scores.logits.view(classes, *by_seed, rows)
        self.upstream_by_seed = seats.seated(self.upstream, 0)[..., :rows].movedim(2, 0)

    def gradients(self) -> Sequence[Tensor]:
        """Memory for the gradients of the next step, [P, out, columns] per layer."""
        if self._fresh == len(self._slots):
            self._take_norms()
        self._fresh += 1
        return self._slots[self._fresh - 1]

    def sums(self, losses: Sequence[Tensor], target: Tensor, step_count: int) -> Tensor:
        """Sums [R, 5] of the recorded values over the steps just made.

        Args:
            losses: [R, B] per step.
            target: class indices [K, R, B] of the batches, each of which took `step_count` steps.
        """
        self._take_norms()
        norm_all, norm_last = (torch.cat(each) for each in zip(*self._norms, strict=True))
        self._norms.clear()
        nll, hits = self._outcome(self._logits[: len(losses) : step_count, ..., : self._rows], target)
        return torch.stack(
            [
                _totals(torch.stack(list(losses), 1)),
                _totals(nll),
                _totals(hits),
                _totals(self._seats.per_run(norm_all, 1).t()),
                _totals(self._seats.per_run(norm_last, 1).t()),
            ],
            1,
        )

    def _take_norms(self) -> None:
        self._norms.append(norms([each[: self._fresh] for each in self._gradients]))
        self._fresh = 0

    def _outcome(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """NLL and hits [R, K x B] of logits [K, P, C, B] and target [K, R, B]."""
        batches, runs, rows = target.shape
        classes = logits.shape[2]
        scores = Scores(runs, batches * rows, classes, dtype=logits.dtype, device=logits.device)
        seated = self._seats.seated(logits, 1)
        scores.logits.view(classes, *seated.shape[1:3], batches, rows).copy_(seated.permute(3, 1, 2, 0, 4))
        return scores.nll_and_hits(scores.labels(target.transpose(0, 1).flatten(1)))


def norms(gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """l2 norms [N, P] of all gradients [N, P, out, columns] together and of the last layer's without its biases."""
    norm = torch.linalg.vector_norm
    *others, last = gradients
    weights = norm(norm(last[..., :-1], dim=-1), dim=-1)
    parts = [weights, norm(last[..., -1], dim=-1), *(norm(each.flatten(2), dim=-1) for each in others)]
    return torch.stack(parts).square_().sum(0).sqrt_(), weights


def _totals(values: Tensor) -> Tensor:
    """Sums [R] over everything but the first axis, each along a row of its own."""
    return values.flatten(1).contiguous().sum(1, dtype=torch.float64)
