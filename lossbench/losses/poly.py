"""Cross entropy as a series in 1 - p_y, with its leading coefficients changed."""

from torch import Tensor

from lossbench.losses._knobs import Fixed, Number
from lossbench.losses._margin import TrueClass
from lossbench.losses._registry import true_class

__all__ = ["poly1"]

_POLY = "arXiv 2204.12511"


@true_class("poly1", cites=(_POLY,), knobs={"epsilon": Fixed(2.0)})
def poly1(true: TrueClass, *, epsilon: Number) -> tuple[Tensor, Number]:
    """Cross entropy with the first coefficient of its series raised by epsilon.

        L = -log p_y + epsilon (1 - p_y)

    Gradient weight: w(p) = 1 + epsilon p.
    Args:
        epsilon: 2 as published for ImageNet, -1 for detection; several ports default to 1.
    Returns:
        Loss per sample [N].
    Identities: ce-el at focus (1 - 1/epsilon) / 2, for epsilon >= 1.
    Caveats: below -1 the weight is negative near p = 1, which pushes confident samples back.
    """
    return true.ce + epsilon * true.not_p, 1 + epsilon * true.p
