"""Blending each picture of a batch with another one of it: mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossbench.randomness import seed_for
from lossbench.spec import DataSpec

__all__ = ["Mixture", "mix"]

PerSample = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """A batch of blended pictures [N, C, H, W]: `share` of each is its own, the rest is its partner's."""

    inputs: Tensor
    partner: Tensor
    """Targets of the partners [N]."""
    share: float

    def over(self, loss: PerSample) -> PerSample:
        """That loss for both targets, weighted by their shares; as in the papers, logits are those of the blend."""

        def blended(logits: Tensor, target: Tensor) -> Tensor:
            return self.share * loss(logits, target) + (1 - self.share) * loss(logits, self.partner)

        return blended


def mix(inputs: Tensor, target: Tensor, spec: DataSpec, *, seed: int, epoch: int, batch: int) -> Mixture | None:
    """Blend a batch with itself in another order, by one share drawn from Beta(a, a); None where the recipe does not.

    With both kinds in a recipe, each batch takes one of them with equal probability.
    """
    if not spec.mixup and not spec.cutmix:
        return None
    random = np.random.default_rng(seed_for(seed, "mix", epoch, batch))
    cut = spec.cutmix > 0 and (not spec.mixup or random.random() < 0.5)
    strength = spec.cutmix if cut else spec.mixup
    share = float(random.beta(strength, strength))
    drawn = torch.from_numpy(random.permutation(len(target)))
    # From pinned memory it can travel while the GPU still works.
    order = (drawn.pin_memory() if inputs.is_cuda else drawn).to(inputs.device, non_blocking=True)
    if not cut:
        return Mixture(inputs=share * inputs + (1 - share) * inputs[order], partner=target[order], share=share)
    height, width = inputs.shape[-2:]
    top, bottom = _span(height, share, random)
    left, right = _span(width, share, random)
    pasted = inputs.clone()
    pasted[:, :, top:bottom, left:right] = inputs[order, :, top:bottom, left:right]
    # The box is cut off where it sticks out of the picture, so the share is that of the pixels that are left.
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return Mixture(inputs=pasted, partner=target[order], share=kept)


def _span(size: int, share: float, random: np.random.Generator) -> tuple[int, int]:
    """One side of the box: its length makes the area 1 - share of the picture, its middle lies anywhere."""
    half = int(size * (1 - share) ** 0.5) // 2
    middle = int(random.integers(size))
    return max(0, middle - half), min(size, middle + half)
