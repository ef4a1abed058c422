"""What the losses of many runs are made from, and what is made of them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from lossbench.losses import TrueClass

__all__ = ["Scores", "Softmax"]

WHOLE = 64
"""Numbers that fill several vector registers of any processor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """Memory for one batch of R runs, B rows each: views that stay while the numbers in them change.

    A network fills in the first four, what `CohortObjective.bound` gives the other two.
    """

    logits: Tensor
    """[R, B, C]"""
    residual: Tensor
    """p_j - [j = y], the gradient of cross entropy in the logits [R, B, C]; a loss that does not depend on p_y alone
    replaces it by its own, as the batch mean has it."""
    true: TrueClass
    """[R, B] each"""
    target: Tensor
    """Class indices [R, B]"""
    losses: Tensor
    """[R, B]"""
    factors: Tensor
    """What the residual of each row is to be multiplied with, to become the gradient of that row's loss [R, B]."""


class Softmax:
    """The scores of R runs on B rows each, made by torch on any device from logits class by class.

    A softmax over the leading axis goes through many rows at once, however few the classes are. Kernels round alike
    within whole vectors, wherever a row stands, but may not at the ragged end of a tensor; so rows are filled up to
    whole vectors, and no number depends on how many runs there are.
    """

    def __init__(self, runs: int, rows: int, classes: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self._count = runs * rows
        self._columns = torch.zeros(classes, -(-self._count // WHOLE) * WHOLE, dtype=dtype, device=device)
        self._residual = torch.zeros_like(self._columns)
        true = self._columns.new_zeros(3, 1, self._columns.shape[1])
        self._parts = true.unbind()
        self._scratch = torch.zeros_like(self._columns[:1])
        self.logits = self._columns[:, : self._count].view(classes, runs, rows)
        """To be filled in by the caller [C, R, B]."""
        self.residual = self._residual[:, : self._count].view(classes, runs, rows)
        """The same as in `scores`, [C, R, B]."""
        self.scores = Scores(
            logits=self.logits.permute(1, 2, 0),
            residual=self.residual.permute(1, 2, 0),
            true=TrueClass(*true[:, 0, : self._count].view(3, runs, rows)),
            target=torch.zeros(runs, rows, dtype=torch.int64, device=device),
            losses=true.new_zeros(runs, rows),
            factors=true.new_zeros(runs, rows),
        )

    def labels(self, target: Tensor) -> Tensor:
        """Class indices [..., R, B] in the form `fill` takes them [..., 1, N]."""
        return pad(target.flatten(-2), (0, self._columns.shape[1] - self._count)).unsqueeze(-2)

    def fill(self, labels: Tensor) -> Scores:
        """The scores of the logits that stand there, as `lossbench.losses.true_class_and_residual` defines them."""
        residual, scratch = self._residual, self._scratch
        ce, p, not_p = self._parts
        torch.log_softmax(self._columns, 0, out=residual)
        torch.gather(residual, 0, labels, out=ce)
        torch.gather(residual.exp_(), 0, labels, out=p)
        torch.sum(residual.scatter_(0, labels, 0.0), 0, keepdim=True, out=not_p)
        torch.neg(logsigmoid(ce.sub_(torch.log(not_p, out=scratch))), out=ce)
        residual.scatter_(0, labels, torch.neg(not_p, out=scratch))
        self.scores.target.copy_(labels[0, : self._count].view_as(self.scores.target))
        return self.scores

    def nll_and_hits(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """NLL and whether the largest logit is the label's [R, B], of equal logits the first; uses up the logits."""
        columns, classes = self._columns, len(self._columns)
        nll = -torch.log_softmax(columns, 0, out=self._residual).gather(0, labels)[0]
        rank = torch.arange(classes, 0, -1, device=columns.device, dtype=columns.dtype).unsqueeze(1)
        # argmax would do, were it not a hundred times slower along this axis.
        hits = columns.eq_(columns.amax(0)).mul_(rank).amax(0) == classes - labels[0]
        shape = self.scores.target.shape
        return nll[: self._count].view(shape), hits[: self._count].view(shape)
