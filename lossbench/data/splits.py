"""Which rows belong to which split: drawn by class, from a seed of their own."""

import torch
from torch import Tensor

from lossbench.randomness import seed_for

__all__ = ["generator", "hold_out", "long_tail", "proportional"]


def generator(seed: int, purpose: str, *address: int | str) -> torch.Generator:
    """A CPU generator for one addressed stream; drawing on the CPU makes every device see the same numbers."""
    return torch.Generator().manual_seed(seed_for(seed, purpose, *address))


def proportional(target: Tensor, count: int, *, classes: int, seed: int, purpose: str) -> Tensor:
    """Draw `count` rows so that each class keeps its share.

    Class c gets the whole part of count * n_c / D rows; the rows still missing go to the largest remainders, ties to
    the lower class.

    Args:
        target: class indices [D].
        count: rows to draw, 0 to D.
    Returns:
        Row numbers [count], rising.
    """
    sizes = torch.bincount(target, minlength=classes)
    shares = sizes * count
    quotas = shares // len(target)
    order = torch.argsort(shares % len(target), descending=True, stable=True)
    quotas[order[: count - int(quotas.sum())]] += 1
    random = generator(seed, purpose)
    shuffled = torch.randperm(len(target), generator=random)
    chosen = [shuffled[target[shuffled] == label][:quota] for label, quota in enumerate(quotas.tolist())]
    return torch.cat(chosen).sort().values


def hold_out(target: Tensor, share: float, *, classes: int, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Divide rows into those that stay and a held-out share, by class.

    Returns:
        Row numbers that stay and row numbers held out, both rising; `round(share * D)` rows are held out.
    """
    held = proportional(target, round(share * len(target)), classes=classes, seed=seed, purpose=purpose)
    stays = torch.ones(len(target), dtype=torch.bool)
    stays[held] = False
    return stays.nonzero().squeeze(1), held


def long_tail(target: Tensor, factor: float, *, classes: int, seed: int) -> Tensor:
    """Thin out rows so that class c keeps int(n_max * factor^(-c / (C - 1))) of them (Cao et al., arXiv 1906.07413).

    Args:
        factor: rows of the first class over rows of the last, at least 1.
    Returns:
        Row numbers, rising.
    """
    largest = int(torch.bincount(target, minlength=classes).max())
    shuffled = torch.randperm(len(target), generator=generator(seed, "split/imbalance"))
    kept = []
    for label in range(classes):
        size = int(largest * factor ** (-label / max(1, classes - 1)))
        kept.append(shuffled[target[shuffled] == label][:size])
    return torch.cat(kept).sort().values
