"""What a trained model is measured by: pure functions of logits and labels, for one run or many at once.

Every function takes `logits [R, D, C]` and `target [D]` in pieces that `evaluate` prepares, and gives one float64
number per run. A run's numbers do not depend on how many runs are evaluated beside it, bit for bit on the CPU: what
is summed over classes is summed row by row or class after class, and every other reduction is either exact in integers
or goes along one run's rows.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.measures import MEASURES, QUANTILES

__all__ = ["evaluate", "predictions"]

ECE_BINS = 15
TOP = 5

_WIDE = 8
"""Classes from which a row fills a vector register; of fewer, kernels along a row take several times as long."""

_UNIT = 2.0**40
"""Float32 probabilities from 2^-16 up are whole multiples of 2^-40, so their sums in these units are exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What the metrics share: `p`, `log_p` [R, D, C]; the rest [R, D], or [D] for the target."""

    p: Tensor
    log_p: Tensor
    target: Tensor
    p_true: Tensor
    confidence: Tensor
    rank: Tensor
    hit: Tensor


def evaluate(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Every evaluation metric of `lossbench.measures`.

    Args:
        logits: unnormalised scores [..., D, C]; computed with in float32.
        target: class indices [D], the same rows for every run.
    Returns:
        One float64 tensor [...] per metric, on the device of the logits; nothing waits for the host.
    """
    runs = logits.shape[:-2]
    outcome = _outcome(_arranged(logits.reshape(-1, *logits.shape[-2:]).float()), target)
    values = {
        "top1_acc": _mean(outcome.hit),
        "macro_recall": _macro_recall(outcome),
        "nll": _mean(-_true(outcome.log_p, target)),
        "brier": _brier(outcome),
        "ece15": _calibration_error(outcome),
        "entropy": _entropy(outcome),
        "conf_mean": _mean(outcome.confidence),
        **_quantiles(outcome.p_true),
    }
    values["over"] = values["conf_mean"] - values["top1_acc"]
    if logits.shape[-1] >= MEASURES["top5_err"].fewest_classes:
        values["top5_err"] = _mean(outcome.rank >= TOP)
    return {name: value.reshape(runs) for name, value in values.items()}


def predictions(logits: Tensor, target: Tensor) -> dict[str, list[Any]]:
    """The columns of `lossbench.events.PredictionsKept` for one run: `logits [D, C]`, `target [D]`."""
    outcome = _outcome(logits.float().unsqueeze(0), target)
    columns = {
        "label": target,
        "predicted": logits.argmax(-1),
        "rank": outcome.rank[0],
        "p_true": outcome.p_true[0],
        "p_max": outcome.confidence[0],
    }
    return {name: column.tolist() for name, column in columns.items()}


def _arranged(values: Tensor) -> Tensor:
    """The same values [..., D, C], those of few classes class by class in memory, where kernels find long rows."""
    return values if values.shape[-1] >= _WIDE else values.movedim(-1, 0).contiguous().movedim(0, -1)


def _outcome(logits: Tensor, target: Tensor) -> _Outcome:
    p, log_p = _softmax(logits)
    own = _true(logits, target).unsqueeze(-1)
    # Of equal logits the lower class index comes first, as in argmax.
    earlier = _arranged(torch.arange(logits.shape[-1], device=logits.device) < target.unsqueeze(-1))
    rank = _over_classes((logits > own) | ((logits == own) & earlier), torch.int64)
    return _Outcome(
        p=p,
        log_p=log_p,
        target=target,
        p_true=_true(p, target),
        confidence=p.amax(-1),
        rank=rank,
        hit=rank == 0,
    )


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and their logarithms [R, D, C]."""
    if logits.shape[-1] >= _WIDE:
        return logits.softmax(-1), logits.log_softmax(-1)
    below = logits - logits.amax(-1, keepdim=True)
    odds = below.exp()
    whole = _over_classes(odds, odds.dtype).unsqueeze(-1)
    return odds / whole, below.sub_(whole.log())


def _over_classes(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Sums over the classes [R, D]."""
    if values.shape[-1] >= _WIDE:
        return values.sum(-1, dtype=dtype)
    # torch would add up in an order that depends on where in memory a row stands.
    return reduce(torch.add, (each.to(dtype) for each in values.unbind(-1)))


def _macro_recall(outcome: _Outcome) -> Tensor:
    """Mean over the classes present of the share of their rows that are right [R]."""
    runs, _, classes = outcome.p.shape
    rows = torch.zeros(classes, dtype=torch.int64, device=outcome.p.device)
    rows = rows.scatter_add(0, outcome.target, torch.ones_like(outcome.target))
    right = rows.new_zeros(runs, classes).scatter_add(1, outcome.target.expand(runs, -1), outcome.hit.long())
    # A class without rows has no right ones either, so its share counts as zero and not as undefined.
    return _total(right / rows.clamp(min=1)) / (rows > 0).sum()


def _brier(outcome: _Outcome) -> Tensor:
    """Mean squared distance between the probabilities and the one-hot label, 0 to 2 [R]. Source: Brier 1950."""
    error = outcome.p.double()
    index = outcome.target.expand(len(error), -1).unsqueeze(-1)
    error.scatter_add_(-1, index, error.new_full(index.shape, -1.0))
    return _mean(_over_classes(error.square_(), torch.float64))


def _calibration_error(outcome: _Outcome) -> Tensor:
    """Expected calibration error over 15 equal bins (lo, hi] of the confidence [R].

        ECE = sum_b n_b / D * |accuracy_b - confidence_b| = 1 / D * sum_b |sum of (hit - confidence) in b|

    Source: Naeini et al. 2015.
    """
    runs, rows = outcome.hit.shape
    confidence = outcome.confidence.double()
    gap = ((outcome.hit.double() - confidence) * _UNIT).round_().long()
    # Exact: a float32 times 15 has all its digits in float64.
    place = (confidence * ECE_BINS).ceil_().long().sub_(1).clamp_(0, ECE_BINS - 1)
    bins = gap.new_zeros(runs, ECE_BINS).scatter_add(1, place, gap)
    return bins.abs().sum(-1).double() / (_UNIT * rows)


def _entropy(outcome: _Outcome) -> Tensor:
    """Mean of -sum_c p_c log p_c in nats, with 0 log 0 = 0 [R]."""
    return _mean(-_over_classes(outcome.p * outcome.log_p, torch.float64))


def _quantiles(values: Tensor) -> dict[str, Tensor]:
    """Quantiles of each run's `values [R, D]`, linear between neighbours."""
    ordered = _sorted(values).double()
    named = {}
    for percent in QUANTILES:
        below, beyond = divmod(percent * (values.shape[-1] - 1), 100)
        low, high = ordered[:, below], ordered[:, min(below + 1, values.shape[-1] - 1)]
        named[f"py_q{percent:02d}"] = low + (high - low) * (beyond / 100)
    return named


def _sorted(values: Tensor) -> Tensor:
    """Each run's values [R, D] in ascending order."""
    # NumPy sorts by vector instructions, many times as fast as torch on the CPU.
    return values.sort(-1).values if values.device.type != "cpu" else torch.from_numpy(np.sort(values.numpy(), -1))


def _true(values: Tensor, target: Tensor) -> Tensor:
    """The entries `values [R, D, C]` have at the true classes [R, D]."""
    return values.gather(-1, target.expand(len(values), -1).unsqueeze(-1)).squeeze(-1)


def _mean(values: Tensor) -> Tensor:
    return _total(values) / values.shape[-1]


def _total(values: Tensor) -> Tensor:
    # A single long sum is shared out among threads and rounds differently; of several each stays whole.
    rows = values.repeat(2, 1) if len(values) == 1 else values
    return rows.sum(-1, dtype=torch.float64)[: len(values)]
