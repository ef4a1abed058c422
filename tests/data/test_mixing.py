"""Mixup and CutMix: what a blend is made of, and the loss it gets."""

import pytest
import torch
from scipy.stats import kstest

from lossbench.data.mixing import mix
from lossbench.losses import build
from lossbench.spec import DataSpec

INPUTS = torch.rand(12, 3, 10, 14)
TARGET = torch.arange(12) % 4


def mixture(batch: int = 0, epoch: int = 0, seed: int = 0, **fields):
    return mix(INPUTS, TARGET, DataSpec(name="x", **fields), seed=seed, epoch=epoch, batch=batch)


def test_a_recipe_without_blending_has_none():
    assert mixture() is None


def test_mixup_adds_a_share_of_each_picture_to_the_rest_of_its_partner():
    made = mixture(mixup=1.0)
    others = (made.inputs - made.share * INPUTS) / (1 - made.share)
    distance = (others[:, None] - INPUTS[None]).abs().amax(dim=(2, 3, 4))
    partner = distance.argmin(dim=1)
    assert distance.amin(dim=1).max() < 1e-4
    assert sorted(partner.tolist()) == list(range(12))
    assert torch.equal(TARGET[partner], made.partner)


def test_cutmix_pastes_one_box_and_counts_its_pixels():
    for batch in range(20):
        made = mixture(batch, cutmix=1.0)
        own = (made.inputs == INPUTS).all(dim=1)
        foreign = ~own.all(dim=0)  # the same box in every picture
        rows, columns = foreign.any(dim=1), foreign.any(dim=0)
        assert torch.equal(foreign, rows[:, None] & columns[None, :])
        assert rows.diff().count_nonzero() <= 2
        assert columns.diff().count_nonzero() <= 2
        assert made.share == pytest.approx(1 - foreign.double().mean().item())


def test_shares_follow_the_beta_distribution_and_differ_between_batches():
    shares = [mixture(batch, mixup=0.4).share for batch in range(400)]
    assert kstest(shares, "beta", args=(0.4, 0.4)).pvalue > 1e-3


def test_both_kinds_take_turns():
    def pasted(batch: int) -> bool:
        distance = (mixture(batch, mixup=1.0, cutmix=1.0).inputs - INPUTS).abs().amax(dim=1).flatten(1)
        foreign = distance.amax(dim=1) > 1e-2  # a picture may be its own partner
        return bool((distance[foreign] == 0).any())

    assert 70 < sum(map(pasted, range(200))) < 130


def test_seed_epoch_and_batch_decide():
    one, same = mixture(3, mixup=1.0), mixture(3, mixup=1.0)
    assert torch.equal(one.inputs, same.inputs)
    for other in (mixture(4, mixup=1.0), mixture(3, epoch=1, mixup=1.0), mixture(3, seed=1, mixup=1.0)):
        assert other.share != one.share


def test_the_cross_entropy_of_a_blend_is_that_of_the_blended_target():
    made = mixture(mixup=1.0)
    logits = torch.randn(12, 4, dtype=torch.float64)
    soft = made.share * torch.nn.functional.one_hot(TARGET, 4) + (1 - made.share) * torch.nn.functional.one_hot(
        made.partner, 4
    )
    expected = -(soft * logits.log_softmax(1)).sum(1)
    torch.testing.assert_close(made.over(build("ce"))(logits, TARGET), expected)
