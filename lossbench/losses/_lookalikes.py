"""Which losses of the catalogue a function equals, on random logits and to nearly all digits."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lossbench.knobs import Fixed, Interval, Scheduled, Whole, Words, text_of
from lossbench.losses._registry import Loss, catalogue
from lossbench.losses._resolve import instance, resolve

__all__ = ["lookalikes"]

_CLASSES = 5
_SEARCHED = 10.0
"""Knobs without a bound are searched up to this size."""
_GRID = 41
_ZOOMS = 9


def lookalikes(function: Callable[[Tensor, Tensor], Tensor], *, besides: str) -> tuple[str, ...]:
    """The texts of catalogue losses that give the function's values and gradients.

    Args:
        function: a loss `(logits [N, C], target [N]) -> [N]`.
        besides: a text that is not to be named, that of the function itself.
    Returns:
        Canonical texts, sorted; one whose values agree and gradients do not is followed by a remark.
    """
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(24, _CLASSES, generator=generator, dtype=torch.float64)
    target = torch.randint(0, _CLASSES, (24,), generator=generator)
    wanted = function(logits, target)
    slopes = _gradient(function, logits, target)
    found = {}
    for spellings in _candidates(wanted, logits, target):
        for text in spellings:
            other = instance(text, classes=_CLASSES)
            name = str(resolve(text))
            if name != besides and _close(other(logits, target), wanted):
                same = _close(_gradient(other, logits, target), slopes)
                found[name] = name if same else f"{name} in its values, not in its gradients"
                break
    return tuple(found[name] for name in sorted(found))


def _candidates(wanted: Tensor, logits: Tensor, target: Tensor) -> Iterator[tuple[str, ...]]:
    """Texts to try, in groups of which the first that fits is enough."""
    yield from _mixtures(wanted, logits, target)
    for entry in catalogue():
        if len(entry.steps) > 1:
            continue
        yield (entry.name,)
        for knob, source in entry.knobs.items():
            if not isinstance(source, Fixed | Scheduled) or source == Fixed(None, source.domain):
                continue
            if isinstance(source.domain, Words):
                yield from ((f"{entry.name}:{knob}={word}",) for word in source.domain.words)
            elif isinstance(source.domain, Whole):
                yield from ((f"{entry.name}:{knob}={number}",) for number in range(source.domain.low, 9))
            else:
                nearest = _nearest(entry, knob, source.domain, wanted, logits, target)
                # Whoever wrote the function wrote a short number, if any of this size is right.
                numbers = (text_of(_rounded(nearest, 6)), text_of(nearest))
                yield tuple(f"{entry.name}:{knob}={number}" for number in numbers if float(number) in source.domain)


def _mixtures(wanted: Tensor, logits: Tensor, target: Tensor) -> Iterator[tuple[str]]:
    """Every spelling of a cross entropy plus b expectation, if the function is one."""
    basis = torch.stack([instance(name, classes=_CLASSES)(logits, target) for name in ("ce", "expectation")], dim=-1)
    weights = torch.linalg.lstsq(basis, wanted.unsqueeze(-1)).solution
    alpha, beta = (_rounded(weight, 10) for weight in weights.flatten().tolist())
    if not _close(alpha * basis[:, 0] + beta * basis[:, 1], wanted) or min(alpha, beta) < 0:
        return
    yield (f"ce-el:alpha={alpha!r},beta={beta!r}",)
    if beta:
        yield (f"sce:A={-1.0 if alpha else -beta!r},alpha={alpha!r},beta={beta if alpha else 1.0!r}",)
        yield (f"mix-ent:beta1={alpha!r},beta2={beta / -math.log(1e-6)!r}",)


def _rounded(value: float, digits: int) -> float:
    # Adding 0 turns -0 into 0.
    return round(value, digits) + 0.0


def _nearest(entry: Loss, knob: str, domain: Interval, wanted: Tensor, logits: Tensor, target: Tensor) -> float:
    """The value of one knob at which a loss comes closest, by ever finer grids."""
    low, high = max(domain.low, -_SEARCHED), min(domain.high, _SEARCHED)
    rows = len(logits)
    many_logits, many_targets = logits.repeat(_GRID, 1), target.repeat(_GRID)
    best, gap = low, math.inf
    for _ in range(_ZOOMS):
        grid = torch.linspace(low, high, _GRID, dtype=torch.float64)
        grid = grid[torch.tensor([value in domain for value in grid.tolist()])]
        size = len(grid) * rows
        knobs = {knob: grid.repeat_interleave(rows)}
        values = instance(entry.name, classes=_CLASSES, knobs=knobs)(many_logits[:size], many_targets[:size])
        gaps = (values.view(-1, rows) - wanted).abs().mean(-1).nan_to_num(nan=math.inf)
        best, before, gap = float(grid[gaps.argmin()]), gap, float(gaps.min())
        if gap > before / 3:
            # Around the right value the gap would shrink with the grid, by twenty.
            break
        reach = (high - low) / (_GRID - 1)
        low, high = max(best - reach, domain.low), min(best + reach, domain.high)
    return best


def _gradient(function: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf, target).sum(), leaf, allow_unused=True, materialize_grads=True)
    return gradient


def _close(left: Tensor, right: Tensor) -> bool:
    return torch.allclose(left, right, rtol=1e-8, atol=1e-9)
