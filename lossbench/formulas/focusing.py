"""Cross entropy scaled by a power of how wrong, or how right, the model is."""

import numpy as np

from lossbench.formulas._registry import Array, formula
from lossbench.knobs import SWITCH, Fixed, above, at_least, within

__all__: list[str] = []

_GAMMA = Fixed(2.0, at_least(0))


@formula(
    "adaptive",
    aliases=("lace", "linearly-adaptive"),
    cites=("arXiv 2507.10574",),
    knobs={"detach": Fixed(False, SWITCH)},
)
def _adaptive(p: Array, *, detach: bool) -> tuple[Array, Array | float]:
    return _focal(p, gamma=1.0, alpha=1.0, detach=detach)


@formula(
    "focal",
    cites=("arXiv 1708.02002",),
    knobs={"gamma": _GAMMA, "alpha": Fixed(1.0, above(0)), "detach": Fixed(False, SWITCH)},
)
def _focal(p: Array, *, gamma: float, alpha: float, detach: bool) -> tuple[Array, Array]:
    factor = alpha * (1 - p) ** gamma
    slope = -alpha * gamma * p * (1 - p) ** (gamma - 1) * np.log(p)
    return -factor * np.log(p), factor if detach else factor + slope


@formula("inverse-focal", cites=("Wang et al., NeurIPS 2021",), knobs={"gamma": _GAMMA})
def _inverse_focal(p: Array, *, gamma: float) -> tuple[Array, Array]:
    factor = (1 + p) ** gamma
    return -factor * np.log(p), factor + gamma * p * (1 + p) ** (gamma - 1) * np.log(p)


@formula("poly1-focal", cites=("arXiv 2204.12511",), knobs={"epsilon": Fixed(1.0), "gamma": _GAMMA})
def _poly1_focal(p: Array, *, epsilon: float, gamma: float) -> tuple[Array, Array]:
    value, weight = _focal(p, gamma=gamma, alpha=1.0, detach=False)
    return value + epsilon * (1 - p) ** (gamma + 1), weight + epsilon * (gamma + 1) * p * (1 - p) ** gamma


@formula("encouraging", cites=("arXiv 2110.06537",), knobs={"log_end": Fixed(0.75, within(0, 1, high_open=True))})
def _encouraging(p: Array, *, log_end: float) -> tuple[Array, Array]:
    on_tangent, knee = np.maximum(p - log_end, 0.0), np.minimum(p, log_end)
    return np.log1p(-knee) - on_tangent / (1 - log_end) - np.log(p), 1 + p / (1 - knee)
