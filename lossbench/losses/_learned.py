"""Learned knobs: the raw parameter behind a value, and the way between them."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from lossbench.knobs import Interval, Learned

__all__ = ["raw_of", "softmax_total", "values_of"]


def raw_of(source: Learned) -> float:
    """The raw parameter at which a learned knob has its initial value."""
    value, (low, high) = source.initial, _ends(source)
    match source.style:
        case "square":
            return math.sqrt(value)
        case "exp" | "softmax":
            return math.log(value)
        case "range" if math.isfinite(low) and math.isfinite(high):
            return math.log((value - low) / (high - value))
        case "range" if math.isfinite(low):
            return math.log(value - low)
        case "range" if math.isfinite(high):
            return -math.log(high - value)
        case _:
            return value


def softmax_total(sources: Mapping[str, Learned]) -> float:
    """Sum of the initial values of the knobs in softmax style, which that style keeps."""
    return sum(source.initial for source in sources.values() if source.style == "softmax")


def values_of(raws: Mapping[str, Tensor], sources: Mapping[str, Learned], totals: Tensor | float) -> dict[str, Tensor]:
    """The values of one loss's learned knobs, differentiable in the raw parameters.

    Args:
        raws: raw parameters by knob, one each or one per run [R].
        sources: where the knobs come from; runs trained together agree in style and domain.
        totals: sum of the initial values of the knobs in softmax style, which that style keeps; per run [R].
    Returns:
        Values by knob, in the shape of the raw parameters.
    """
    tied = [knob for knob, source in sources.items() if source.style == "softmax"]
    shares = torch.stack([raws[knob] for knob in tied]).softmax(0) * totals if tied else ()
    values = dict(zip(tied, shares, strict=True))
    return {knob: values[knob] if knob in values else _value(raws[knob], sources[knob]) for knob in sources}


def _value(raw: Tensor, source: Learned) -> Tensor:
    low, high = _ends(source)
    match source.style:
        case "square":
            return raw.square()
        case "exp":
            return raw.exp()
        case "range" if math.isfinite(low) and math.isfinite(high):
            return low + (high - low) * raw.sigmoid()
        case "range" if math.isfinite(low):
            return low + raw.exp()
        case "range" if math.isfinite(high):
            return high - (-raw).exp()
        case _:
            return raw.clone()


def _ends(source: Learned) -> tuple[float, float]:
    domain = source.domain
    return (domain.low, domain.high) if isinstance(domain, Interval) else (-math.inf, math.inf)
