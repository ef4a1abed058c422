"""The text of a loss: canonical spelling, sources of knobs, and one sentence for each mistake."""

import math

import pytest
import torch

from lossbench import losses
from lossbench.errors import UsageError
from lossbench.losses import Fixed, Learned, Scheduled
from lossbench.schedules import Clock
from lossbench.spec import parse_loss
from tests.losses.cases import ordinary, targets_of


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ce", "ce"),
        ("lace", "adaptive"),
        ("linearly-adaptive:detach=true", "adaptive:detach=true"),
        ("el", "expectation"),
        ("focal:gamma=2.0", "focal"),
        ("focal:gamma=fixed(2)", "focal"),
        ("focal:gamma=3.50,alpha=.25", "focal:alpha=0.25,gamma=3.5"),
        ("focal:gamma=learned(2)", "focal:gamma=learned(2)"),
        ("focal:gamma=learned( 2 , lr=0.1, square )", "focal:gamma=learned(2,square,lr=0.1)"),
        ("focal:gamma=0~5", "focal:gamma=0~5"),
        ("ce-el:focus=0", "ce-el"),
        ("ce-el:schedule=f0-0.5", "ce-el:focus=0-0.5"),
        ("mix-el:focus=0,0.5@90", "ce-el:focus=0,0.5@90"),
        ("ce-el:schedule=f0,0.5,normalize=area", "ce-el:focus=0,0.5,normalize=area"),
        ("mix-ent:eps=1e-6,base1=e", "mix-ent"),
        ("sce:A=ln(1e-4)", "sce"),
        ("sce:A=-4", "sce:A=-4"),
        ("gce-trunc:k=0,0.5@33", "gce-trunc"),
        ("taylor-ce:t=6", "taylor-ce:t=6"),
        ("nce+rce:beta=1", "nce+rce"),
        ("ml-focal:alpha=none", "ml-focal"),
    ],
)
def test_canonical_text(text, canonical):
    ref = losses.resolve(text)
    assert str(ref) == canonical
    assert losses.resolve(str(ref)) == ref


@pytest.mark.parametrize("name", [entry.name for entry in losses.catalogue()])
def test_every_default_is_legal_and_reads_back(name):
    entry = losses.get(name)
    settable = [f"{knob}={source}" for knob, source in entry.knobs.items() if not isinstance(source, losses.FromData)]
    text = f"{name}:{','.join(settable)}" if settable else name
    assert str(losses.resolve(text)) == name
    assert parse_loss(name).name == name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2", Fixed),
        ("fixed(2)", Fixed),
        ("0,5", Scheduled),
        ("0-5/3", Scheduled),
        ("0~5", Scheduled),
        ("cosine(0,5)", Scheduled),
        ("step(3,0.5)", Scheduled),
        ("milestones(0.5,2,4)", Scheduled),
        ("learned(2)", Learned),
    ],
)
def test_any_numeric_knob_takes_any_source(text, kind):
    _, sources = losses.sources(losses.resolve(f"focal:gamma={text}"))
    assert isinstance(sources["gamma"], kind)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("focall", ["unknown loss 'focall'", "did you mean 'focal'?"]),
        ("focal:gama=2", ["unknown knob of focal 'gama'", "did you mean 'gamma'?"]),
        ("ce:gamma=2", ["ce has no knobs", "gamma=2"]),
        ("focal:gamma=-1", ["focal: gamma must be at least 0", "arXiv 1708.02002", "got -1"]),
        ("focal:gamma=0~-1", ["gamma must be at least 0", "got -1"]),
        ("focal:gamma=learned(-1)", ["gamma must be at least 0", "got -1"]),
        ("ce-el:focus=0.6", ["focus must be at least 0 and at most 0.5", "arXiv 2109.05635", "got 0.6"]),
        ("ce-el:focus=0-0.6", ["focus must be at least 0 and at most 0.5", "got 0.6"]),
        ("ce-el:alpha=1", ["alpha and beta are set together", "beta is missing"]),
        ("ce-el:alpha=1,beta=1,focus=0.1", ["not by both"]),
        ("ce-el:focus=0,schedule=f0.1", ["set one of them"]),
        ("ce-el:normalize=areas", ["unknown value of ce-el: normalize 'areas'", "did you mean 'area'?"]),
        ("gce:q=0", ["q must be above 0 and at most 1", "got 0"]),
        ("gce:q=nan", ["is not a number or schedule"]),
        ("gce:q=0.5.5", ["gce: q", "is not a number or schedule"]),
        ("focal:gamma=learned(x)", ["focal: gamma: 'x' is not a number"]),
        ("focal:gamma=learned(2,cubic)", ["unknown style of a learned focal: gamma 'cubic'"]),
        ("focal:gamma=ln(e)", ["focal: gamma: 'ln(e)' is not a number or schedule"]),
        ("focal:gamma=learned(0)", ["must start inside its range"]),
        ("focal:gamma=learned(2,lr=0)", ["learning rate must be above 0"]),
        ("min-ent:beta2=learned(-1,exp)", ["the exp style starts above 0"]),
        ("focal:detach=yes", ["unknown value of focal: detach 'yes'", "false", "true"]),
        ("taylor-ce:t=1.5", ["t must be a whole number of at least 1", "got 1.5"]),
        ("taylor-ce:t=learned(2)", ["whole number and cannot be learned"]),
        ("logit-adjust:counts=3", ["computed from the training data", "cannot be set"]),
        ("mix-ent:base1=1", ["base1 must be above 1", "arXiv 2501.13709", "got 1"]),
        ("focal:gamma", ["focal:gamma", "knob=value"]),
    ],
)
def test_each_mistake_is_one_clear_line(text, parts):
    with pytest.raises(UsageError) as caught:
        losses.resolve(text)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_build_is_a_plain_function():
    logits, target = ordinary(dtype=torch.float32)
    expected = (1 - logits.softmax(-1).gather(-1, target[:, None]).squeeze(-1)) ** 3
    expected = expected * torch.nn.functional.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(losses.build("focal:gamma=3")(logits, target), expected)


def test_build_follows_a_clock_where_one_is_needed():
    logits, target = ordinary()
    late = losses.build("ce-el:focus=0,0.5", clock=Clock(epoch=19, epochs=20))
    torch.testing.assert_close(late(logits, target), losses.build("expectation")(logits, target))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("ce-el:focus=0-0.5", "pass clock="),
        ("logit-adjust", "pass target=.. and classes=.."),
        ("focal:gamma=learned(2)", "is learned"),
        ("cot", "takes 2 steps"),
    ],
)
def test_build_says_what_it_still_needs(text, part):
    with pytest.raises(UsageError, match=part):
        losses.build(text)


def test_an_absent_class_is_refused():
    with pytest.raises(UsageError, match="every class in the training set; absent: 3, 4"):
        losses.build("logit-adjust", target=targets_of((3, 2, 1)), classes=5)


def test_a_learned_value_starts_where_it_is_told():
    for text, knob in (
        ("focal:gamma=learned(2)", "gamma"),
        ("gce:q=learned(0.7)", "q"),
        ("poly1:epsilon=learned(-1.5)", "epsilon"),
        ("rce:A=learned(-4)", "A"),
        ("min-ent:beta2=learned(0.1,square)", "beta2"),
        ("min-ent:beta2=learned(0.1,exp)", "beta2"),
        ("min-ent:beta2=learned(0.1,free)", "beta2"),
        ("min-ent:base2=learned(2)", "base2"),
    ):
        _, sources = losses.sources(losses.resolve(text))
        learned = {knob: sources[knob]}
        raws = {knob: torch.tensor(losses.raw_of(sources[knob]), dtype=torch.float64)}
        value = losses.values_of(raws, learned, losses.softmax_total(learned))[knob]
        assert math.isclose(value, sources[knob].initial, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("min-ent", []),
        ("focal:gamma=learned(2)", []),
        ("min-ent:beta1=learned(1,softmax),beta2=learned(0.1,softmax)", []),
        ("min-ent:beta2=learned(0.1,softmax)", ["beta2 is alone in softmax style"]),
        ("min-ent:beta2=learned(0.1,free)", ["beta2 is ill-posed", "runs away"]),
        ("mix-ent:base1=learned(2),beta1=learned(1,square)", ["beta1 is ill-posed", "base1 is ill-posed"]),
    ],
)
def test_ill_posed_learning_is_pointed_out(text, parts):
    told = losses.cautions(losses.resolve(text))
    assert bool(told) == bool(parts)
    for part in parts:
        assert any(part in each for each in told)


def test_a_learned_value_never_leaves_its_range():
    for text, knob in (("gce:q=learned(0.7)", "q"), ("min-ent:base1=learned(2)", "base1"), ("rce:A=learned(-4)", "A")):
        _, sources = losses.sources(losses.resolve(text))
        for raw in (-30.0, -1.0, 0.0, 1.0, 30.0):
            raws = {knob: torch.tensor(raw, dtype=torch.float64)}
            value = losses.values_of(raws, {knob: sources[knob]}, 0.0)[knob]
            assert float(value) in sources[knob].domain
