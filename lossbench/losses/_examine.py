"""A loss on the bench before any training: does it keep its promises, and what kind of loss is it?"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossbench import formulas
from lossbench.errors import UsageError
from lossbench.knobs import Source
from lossbench.losses._lookalikes import lookalikes
from lossbench.losses._resolve import find, instance, resolve, sources

__all__ = ["Finding", "Report", "describe_weight", "examine", "over_probability", "weight_curve"]

Function = Callable[[Tensor, Tensor], Tensor]

_ETAS = (0.6, 0.7, 0.8, 0.9)
_GRID = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one look at a loss has shown."""

    name: str
    passed: bool | None
    """None where either answer is a legal loss."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that was found out about a loss."""

    loss: str
    findings: tuple[Finding, ...]
    equals: tuple[str, ...] = ()
    """Texts of catalogue losses that are the same function."""
    minimisers: tuple[tuple[float, float], ...] = ()
    """(Bayes probability, predicted probability that minimises the expected loss), for two classes."""
    curve: tuple[tuple[float, float, float], ...] = ()
    """(p_y, value, gradient weight), where the loss depends on p_y alone."""

    @property
    def passed(self) -> bool:
        """Whether the loss can be trained with."""
        return all(finding.passed is not False for finding in self.findings)


def examine(text: str) -> Report:
    """Look at a loss from all sides; scheduled knobs are taken as in the last epoch, learned ones at their start.

    Raises:
        UsageError: there is no such loss, or it takes several steps.
    """
    ref = resolve(text, trial=False)
    if len(find(ref).steps) > 1:
        raise UsageError(f"{ref} takes several steps per batch; only losses of one step can be examined")

    def of(classes: int) -> Function:
        return instance(ref, classes=classes)

    shape = _shape(of)
    if not shape.passed:
        return Report(loss=str(ref), findings=(shape,))
    curve = _curve(of)
    minimisers = tuple((eta, _minimiser(of(2), eta)) for eta in _ETAS)
    weight = Finding(name="gradient weight", passed=None, text=describe_weight(curve))
    findings = (shape, _finite(of(4)), _derivative(of(5)), _bf16(of(5)), *_symmetries(of(5)))
    return Report(
        loss=str(ref),
        findings=(*findings, _noise(of(5)), _proper(minimisers), weight, _cost(of(100))),
        equals=lookalikes(of(5), besides=str(ref)),
        minimisers=minimisers,
        curve=tuple(row for row in curve if any(math.isclose(row[0], p) for p in _GRID)),
    )


def _sample(classes: int = 5) -> tuple[Tensor, Tensor]:
    rows = 16
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (rows,), generator=generator)


def _gradient(function: Function, logits: Tensor, target: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf, target).sum(), leaf, allow_unused=True, materialize_grads=True)
    return gradient


def _shape(of: Callable[[int], Function]) -> Finding:
    fault = next(filter(None, (_fault(of(classes), classes) for classes in (2, 4, 5, 100))), None)
    return Finding(name="one number per sample", passed=fault is None, text=fault or "yes")


def _fault(function: Function, classes: int) -> str | None:
    logits, target = _sample(classes)
    try:
        value = function(logits, target)
        if not isinstance(value, Tensor):
            return f"returns {type(value).__name__} instead of a tensor"
        if value.shape != target.shape:
            return f"returns shape {list(value.shape)} for {len(target)} samples"
        _gradient(function, logits, target)
    except Exception as error:  # Whatever a user's function may raise is what there is to report.
        return f"raises {type(error).__name__} at {classes} classes: {error}"
    return None if value.isfinite().all() else f"not finite on ordinary logits of {classes} classes"


def _finite(function: Function) -> Finding:
    size = (1000.0, -1000.0, 0.0, 500.0)
    rows = [size, (1000.0, 1000.0, -1000.0, 3.0), (0.0,) * 4, (1000.0,) * 4]
    target = torch.arange(4).repeat_interleave(len(rows))
    bad = []
    for dtype in (torch.float32, torch.float64):
        logits = torch.tensor(rows, dtype=dtype).repeat(4, 1)
        if not function(logits, target).isfinite().all():
            bad.append(f"value in {str(dtype)[6:]}")
        if not _gradient(function, logits, target).isfinite().all():
            bad.append(f"gradient in {str(dtype)[6:]}")
    text = f"not finite: {', '.join(bad)}" if bad else "value and gradient, up to 1000, ties, all equal"
    return Finding(name="finite at extreme logits", passed=not bad, text=text)


def _derivative(function: Function) -> Finding:
    logits, target = _sample()
    gradient, step = _gradient(function, logits, target), 1e-6
    slopes = torch.zeros_like(gradient)
    for j in range(logits.shape[-1]):
        shift = torch.zeros_like(logits)
        shift[:, j] = step
        slopes[:, j] = (function(logits + shift, target) - function(logits - shift, target)) / (2 * step)
    gap = float((gradient - slopes).abs().max() / slopes.abs().max().clamp(min=1e-12))
    agrees = gap < 1e-6
    text = "agrees with finite differences" if agrees else f"off by {gap:.1e}: part of the loss is held constant"
    return Finding(name="gradient in float64", passed=agrees, text=text)


def _bf16(function: Function) -> Finding:
    logits, target = _sample()
    rough = logits.bfloat16()
    value = function(rough, target)
    same = value.dtype == torch.float32 and torch.allclose(value, function(rough.float(), target))
    return Finding(
        name="bf16 logits", passed=same, text="computed in float32" if same else f"computed in {value.dtype}"
    )


def _symmetries(function: Function) -> Iterator[Finding]:
    logits, target = _sample()
    value = function(logits, target)
    alone = torch.cat([function(logits[row : row + 1], target[row : row + 1]) for row in range(len(target))])
    separate = torch.allclose(alone, value)
    yield Finding(
        name="samples", passed=None, text="independent" if separate else "coupled: a sample's loss depends on the batch"
    )
    shifts = torch.allclose(function(logits + 3.25, target), value)
    yield Finding(name="shift of all logits", passed=None, text="ignored" if shifts else "changes the loss")
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = function(logits[:, order], order.argsort()[target])
    equal = torch.allclose(moved, value)
    yield Finding(name="order of classes", passed=None, text="ignored" if equal else "changes the loss")


def _noise(function: Function) -> Finding:
    logits, _ = _sample()
    total = sum(function(logits, torch.full((len(logits),), label)) for label in range(logits.shape[-1]))
    assert isinstance(total, Tensor)
    constant = float(total.std()) <= 1e-9 * float(total.abs().max())
    text = (
        f"tolerant: sums to {float(total.mean()):.6g} over 5 labels" if constant else "no constant sum over the labels"
    )
    return Finding(name="label noise", passed=None, text=text)


def _minimiser(function: Function, eta: float) -> float:
    """The predicted probability of the first class that minimises the expected loss where it is right with rate eta."""
    low, high = -40.0, 40.0
    best = 0.0
    for _ in range(6):
        margins = torch.linspace(low, high, 801, dtype=torch.float64)
        logits = torch.stack([margins / 2, -margins / 2], dim=-1)
        first, second = (function(logits, torch.full((801,), label)) for label in (0, 1))
        best = float(margins[(eta * first + (1 - eta) * second).argmin()])
        reach = (high - low) / 400
        low, high = best - reach, best + reach
    return 1 / (1 + math.exp(-best))


def _proper(minimisers: tuple[tuple[float, float], ...]) -> Finding:
    gaps = [p - eta for eta, p in minimisers]
    if max(map(abs, gaps)) < 1e-3:
        word = "proper"
    elif all(p > 0.9999 for _, p in minimisers):
        word = "improper: certainty minimises it"
    elif all(gap > 0 for gap in gaps):
        word = "improper: over-confident"
    elif all(gap < 0 for gap in gaps):
        word = "improper: under-confident"
    else:
        word = "improper"
    table = ", ".join(f"{eta:g} -> {p:.3f}" for eta, p in minimisers)
    return Finding(name="probabilities", passed=None, text=f"{word} ({table})")


def over_probability(text: str, *, classes: int) -> tuple[dict[str, Source], formulas.Curve]:
    """The source of each knob of any loss of one step, and its value and weight |dL/dq_y| / (1 - p_y) over p_y.

    Exact derivatives in float64; the `classes` - 1 wrong classes share 1 - p_y equally.

    Raises:
        UsageError: there is no such loss, or it takes several steps.
    """
    ref = resolve(text)
    entry, chosen = sources(ref)
    if len(entry.steps) > 1:
        raise UsageError(f"{ref} takes several steps per batch, and has no single value to draw")

    def over(p: formulas.Array, **knobs: Any) -> tuple[formulas.Array, formulas.Array]:
        true = torch.from_numpy(p)
        rest = ((1 - true) / (classes - 1)).log()
        logits = torch.cat([true.log()[:, None], rest[:, None].expand(-1, classes - 1)], dim=1)
        target = torch.zeros(len(true), dtype=torch.int64)
        function = instance(ref, classes=classes, knobs=knobs)
        weight = _gradient(function, logits, target)[:, 0].abs() / (1 - true)
        return function(logits, target).numpy(), weight.numpy()

    return chosen, over


def weight_curve(text: str) -> tuple[tuple[float, float, float], ...]:
    """(p_y, value, gradient weight) of a loss at p_y from 0.001 to 0.999; empty where it depends on more than p_y."""
    ref = resolve(text)
    return tuple(_curve(lambda classes: instance(ref, classes=classes)))


def _curve(of: Callable[[int], Function]) -> list[tuple[float, float, float]]:
    """(p_y, value, weight) from 0.01 to 0.99, or nothing where the loss depends on more than p_y."""
    function = of(5)
    logits, target = _sample()
    value, p = function(logits, target), logits.softmax(-1)
    residual = p - torch.nn.functional.one_hot(target, 5)
    gradient = _gradient(function, logits, target)
    pull = gradient.gather(-1, target.unsqueeze(-1)) / residual.gather(-1, target.unsqueeze(-1))
    # The other logits of another sample with the same p_y.
    flat = torch.full_like(logits, 0.0).scatter(
        -1, target.unsqueeze(-1), (4 * p / (1 - p)).log().gather(-1, target.unsqueeze(-1))
    )
    turned = function(logits.roll(1, -1), (target + 1) % logits.shape[-1])
    agree = ((gradient, pull * residual), (function(flat, target), value), (turned, value))
    if not all(torch.allclose(left, right, rtol=1e-7, atol=1e-9) for left, right in agree):
        return []
    grid = torch.arange(1, 1000, dtype=torch.float64) / 1000
    two = torch.stack([(grid / (1 - grid)).log(), torch.zeros_like(grid)], dim=-1)
    first = torch.zeros(len(grid), dtype=torch.int64)
    weights = -_gradient(of(2), two, first)[:, 0] / (1 - grid)
    return list(zip(grid.tolist(), of(2)(two, first).tolist(), weights.tolist(), strict=True))


def describe_weight(curve: Sequence[tuple[float, float, float]]) -> str:
    """Where the gradient weight and the gradient itself are largest, and the area under the gradient."""
    if not curve:
        return "none: the loss depends on more than p_y"
    weights = [weight for _, _, weight in curve]
    # The trapezoid between 0 and the first point counts too: there the gradient may be at its largest.
    area = 2 * (sum(weight * (1 - p) for p, _, weight in curve) + weights[0] / 2) / (len(curve) + 1)
    if max(weights) - min(weights) < 1e-9:
        return f"{weights[0]:.3g} at every p; |dL/dq_y| peaks towards 0; area {area:.3g} of ce's"
    top = max(curve, key=lambda row: row[2])
    focus = max(curve, key=lambda row: row[2] * (1 - row[0]))
    at = {round(p, 3): weight for p, _, weight in curve}
    sampled = ", ".join(f"w({p:g}) = {at[p]:.3g}" for p in (0.01, 0.1, 0.5, 0.9))
    largest = f"largest {top[2]:.3g} {_place(top, curve)}"
    return f"{sampled}; {largest}; |dL/dq_y| peaks {_place(focus, curve)}; area {area:.3g} of ce's"


def _place(row: tuple[float, float, float], curve: Sequence[tuple[float, float, float]]) -> str:
    """Where on the curve a row lies; at its ends only the direction is known."""
    ends = {curve[0]: "towards 0", curve[-1]: "towards 1"}
    return ends.get(row, f"at {row[0]:g}")


def _cost(function: Function) -> Finding:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1024, 100, generator=generator, requires_grad=True)
    target = torch.randint(0, 100, (1024,), generator=generator)

    def seconds(loss: Function) -> float:
        started = time.perf_counter()
        torch.autograd.grad(loss(logits, target).mean(), logits, allow_unused=True)
        return time.perf_counter() - started

    ce = instance("ce", classes=100)
    pairs = [(seconds(function), seconds(ce)) for _ in range(20)]
    ratio = min(own for own, _ in pairs) / min(other for _, other in pairs)
    return Finding(name="cost", passed=None, text=f"{ratio:.2g} times ce, forward and backward at 1024 x 100")
