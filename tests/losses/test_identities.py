"""Equalities between losses: what a reader of two papers would otherwise have to take on trust."""

import math

import pytest
import torch

from lossbench import losses
from lossbench.losses import at_probability
from lossbench.losses.complement import complement_entropy
from tests.losses.cases import COUNTS, LAST, ordinary, step, targets_of, value_and_gradient

SAME = [
    ("adaptive", "focal:gamma=1", 1),
    ("focal:gamma=0", "ce", 1),
    ("mae", "expectation", 2),
    ("gce:q=1", "expectation", 1),
    ("gce-trunc:k=0", "gce", 1),
    ("agce:q=1", "expectation", 1),
    ("rce:A=-3", "expectation", 3),
    ("taylor-ce:t=1", "expectation", 1),
    ("phuber-ce:tau=1", "expectation", 1),
    ("tce:a=0", "ce", 1),
    ("poly1:epsilon=0", "ce", 1),
    ("poly1:epsilon=1", "ce-el:focus=0", 1),
    ("poly1:epsilon=2.5", "ce-el:focus=0.3", 1),
    ("poly1:epsilon=5", "ce-el:focus=0.4", 1),
    ("ce-el:focus=0.5", "expectation", 1),
    ("ce-el:alpha=1,beta=2.5", "ce-el:focus=0.3", 1),
    ("ce-el:focus=0.3,normalize=area", "ce-el:focus=0.3", 1 / (1 + 2.5 / 3)),
    ("ce-matched:focus=0.3", "ce", 1 + 2.5 / 3),
    ("ce-matched:focus=0.3,match=square", "ce", 1 + 2.5 / 2),
    ("ce-matched:focus=0.3,match=triangle", "ce", 1 + 2.5 / 4),
    ("ce-matched:focus=0.5", "ce", 1 / 3),
    ("sce:alpha=1,beta=0.25,A=-4", "ce-el:focus=0", 1),
    ("mix-ent:eps=0.01,beta1=0.5,beta2=2", "sce:A=ln(0.01),alpha=0.5,beta=2", 1),
    ("mix-ent:base1=10,beta1=1", f"mix-ent:beta1={1 / math.log(10)!r}", 1),
    ("min-ent:beta2=-0.1", "confidence-penalty", 1),
    ("confidence-penalty:beta=0", "ce", 1),
    ("label-smoothing:epsilon=0", "ce", 1),
    ("label-smoothing:epsilon=0.1", "label-smoothing:epsilon=0.08,spread=others", 1),
    ("poly1-focal:epsilon=0", "focal", 1),
    ("poly1-focal:gamma=0,epsilon=2", "poly1", 1),
    ("inverse-focal:gamma=0", "ce", 1),
    ("dual-focal", "ce", 1),
    ("asl:epsilon=0,gamma_pos=3", "focal:gamma=3", 1),
    ("asl:gamma_neg=0", "label-smoothing", 1),
    ("logit-adjust:tau=0", "ce", 1),
    ("cb-ce:beta=0", "ce", 1),
    ("cb-focal:gamma=0", "cb-ce", 1),
    ("cb-focal:beta=0", "focal", 1),
    ("cce:gamma=0", "ce", 1),
    ("nce+rce:alpha=0", "rce", 1),
    ("nce+mae:alpha=0,beta=2", "mae", 1),
    ("nce+mae:beta=0", "nce", 1),
    ("bi-tempered:t1=1,t2=1", "ce", 1),
    ("ml-focal:gamma=1", "ml-adaptive", 1),
    ("ml-focal:gamma=0", "ml-bce", 1),
    ("ml-poly1:epsilon=0", "ml-bce", 1),
    ("ml-asl:clip=0,gamma_neg=2,gamma_pos=2", "ml-focal", 1),
    ("bce", "ml-bce", 1),
    ("bce:class_reduction=mean", "bce", 1 / 5),
]


@pytest.mark.parametrize(("left", "right", "factor"), SAME, ids=[f"{left} = {right}" for left, right, _ in SAME])
def test_two_names_for_one_loss(left, right, factor):
    logits, target = ordinary()
    one, other = (value_and_gradient(step(text), logits, target) for text in (left, right))
    torch.testing.assert_close(one[0], factor * other[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one[1], factor * other[1], rtol=1e-12, atol=1e-12)


LIMITS = [
    ("gce:q=1e-7", "ce", 1e-5),
    ("tce:a=1.0000001", "tce:a=1", 1e-6),
    ("taylor-ce:t=20000", "ce", 1e-6),
    ("phuber-ce:tau=1e9", "ce", 1e-9),
    ("js:pi1=1e-7", "ce", 1e-4),
    ("js:pi1=0.99999999999", "expectation", 0.1),
    ("ngce:q=1e-7", "nce", 1e-5),
    ("cb-ce:beta=1e-12", "ce", 1e-9),
    ("bi-tempered:t1=0.9999999,t2=1.0000001", "ce", 1e-4),
]


@pytest.mark.parametrize(("near", "limit", "gap"), LIMITS, ids=[f"{near} ~ {limit}" for near, limit, _ in LIMITS])
def test_limits(near, limit, gap):
    logits, target = ordinary()
    torch.testing.assert_close(step(near)(logits, target), step(limit)(logits, target), rtol=gap, atol=gap)


def over_all_labels(text, classes=5):
    logits, _ = ordinary(classes=classes)
    return sum(step(text)(logits, torch.full((len(logits),), label)) for label in range(classes))


@pytest.mark.parametrize(
    ("text", "total"),
    [("expectation", 4), ("mae", 8), ("rce:A=-4", 16), ("nce", 1), ("ngce", 1), ("nce+mae", 5)],
)
def test_noise_tolerant_losses_sum_to_a_constant_over_the_labels(text, total):
    torch.testing.assert_close(over_all_labels(text), torch.full((12,), float(total), dtype=torch.float64))


@pytest.mark.parametrize("text", ["ce", "adaptive", "gce", "js"])
def test_others_do_not(text):
    assert over_all_labels(text).std() > 0.01


def test_taylor_to_the_second_term():
    logits, target = ordinary()
    el = step("expectation")(logits, target)
    torch.testing.assert_close(step("taylor-ce:t=2")(logits, target), el + el**2 / 2)


def test_two_classes():
    logits, target = ordinary(classes=2)
    wrong = step("expectation", classes=2)(logits, target)
    torch.testing.assert_close(step("brier", classes=2)(logits, target), 2 * wrong**2)
    assert torch.equal(step("cot", 1, classes=2)(logits, target), torch.zeros(12, dtype=torch.float64))
    torch.testing.assert_close(step("cce", classes=2)(logits, target), step("ce", classes=2)(logits, target))


def test_equal_counts_leave_cross_entropy():
    logits, target = ordinary()
    even = targets_of((6,) * 5)
    for text in ("logit-adjust", "cb-ce"):
        balanced = losses.build(text, target=even, classes=5)
        torch.testing.assert_close(balanced(logits, target), step("ce")(logits, target))


def test_balanced_softmax():
    logits, target = ordinary()
    weighted = logits.exp() * torch.tensor(COUNTS, dtype=torch.float64)
    expected = -(weighted / weighted.sum(-1, keepdim=True)).gather(-1, target[:, None]).squeeze(-1).log()
    torch.testing.assert_close(step("balanced-softmax")(logits, target), expected)


def test_complement_entropy_does_not_see_the_true_logit():
    logits, target = ordinary()
    moved = logits + 7 * torch.nn.functional.one_hot(target, 5)
    assert torch.equal(complement_entropy(moved, target), complement_entropy(logits, target))


def test_entropy_splits_into_true_class_and_complement():
    logits, target = ordinary()
    p = logits.softmax(-1)
    p_true = p.gather(-1, target[:, None]).squeeze(-1)
    binary = -(p_true * p_true.log() + (1 - p_true) * (1 - p_true).log())
    whole = -(p * p.log()).sum(-1)
    torch.testing.assert_close(whole, binary + (1 - p_true) * complement_entropy(logits, target))


def test_the_nearest_centre_of_mmc_is_the_largest_score():
    logits, _ = ordinary(rows=50)
    distances = torch.stack([step("mmc")(logits, torch.full((50,), label)) for label in range(5)], dim=-1)
    assert torch.equal(distances.argmin(-1), logits.argmax(-1))


def test_jeffreys_is_label_smoothing_minus_entropy_plus_expectation():
    logits, target = ordinary()
    p, e = logits.softmax(-1), 0.1
    entropy = -(p * p.log()).sum(-1)
    weight = math.log(1 + 5 * (1 - e) / e)
    parts = step("label-smoothing")(logits, target) - entropy + weight * step("expectation")(logits, target)
    gap = step("jeffreys")(logits, target) - parts
    torch.testing.assert_close(gap, gap[:1].expand(12))


def test_adaptive_weighs_more_than_cross_entropy_exactly_below_one_over_e():
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    _, weight = losses.get("adaptive").curve(at_probability(p), detach=False)
    assert torch.equal(weight > 1, p < 1 / math.e)
    assert math.isclose(p[weight.argmax()], math.exp(-2), abs_tol=1e-3)
    assert math.isclose(weight.max(), 1 + math.exp(-2), abs_tol=1e-6)


@pytest.mark.parametrize(
    ("text", "area"),
    [
        ("ce", 1),
        ("expectation", 1 / 3),
        ("ce-el:focus=0.4", 8 / 3),
        ("ce-el:focus=0.4,normalize=area", 1),
        ("adaptive", 17 / 18),
        ("focal:gamma=2", 0.861),
        ("inverse-focal", 1.083),
        ("encouraging", 1.771),
        ("gce", 0.436),
        ("agce", 0.5),
        ("tce", 0.673),
        ("poly1-focal", 1.161),
        ("taylor-ce", 0.5),
        ("phuber-ce", 0.903),
        ("mix-ent", 5.605),
        ("js", 0.590),
        ("js:pi1=0.1", 0.825),
    ],
)
def test_gradient_area(text, area):
    """A = 2 int w(p) (1 - p) dp, by the midpoint rule."""
    p = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    entry, sources = losses.sources(losses.resolve(text))
    _, weight = entry.curve(at_probability(p), **{knob: losses.value_at(each, LAST) for knob, each in sources.items()})
    assert math.isclose(2 * (weight * (1 - p)).mean(), area, abs_tol=6e-4)


@pytest.mark.parametrize("text", ["adaptive", "focal:gamma=0.5", "focal:alpha=0.25,gamma=3"])
def test_detached_factors_change_the_gradient_only(text):
    logits, target = ordinary()
    joined = "," if ":" in text else ":"
    plain = value_and_gradient(step(text), logits, target)
    held = value_and_gradient(step(f"{text}{joined}detach=true"), logits, target)
    assert torch.equal(plain[0], held[0])
    factor = (plain[0] / step("ce")(logits, target)).unsqueeze(-1)
    _, ce_gradient = value_and_gradient(step("ce"), logits, target)
    torch.testing.assert_close(held[1], factor * ce_gradient)
