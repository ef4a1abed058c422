"""One objective per run, and many runs in one: they must agree, and no run may see its neighbours."""

import pytest
import torch

from lossbench import losses, objective
from lossbench.errors import UsageError
from lossbench.objective import CohortObjective, Objective, Softmax
from lossbench.schedules import Clock

CLASSES = 5
TARGETS = torch.arange(CLASSES).repeat_interleave(torch.tensor([9, 3, 4, 2, 6]))
MIDDLE = Clock(epoch=7, epochs=12)

SINGLE_STEP = [entry.name for entry in losses.catalogue() if len(entry.steps) == 1]
MIXED = [
    "ce",
    "adaptive",
    "adaptive:detach=true",
    "focal:gamma=3",
    "focal",
    "focal:gamma=learned(2)",
    "focal:gamma=learned(0.5)",
    "focal:gamma=0~5",
    "ce-el:focus=0-0.5",
    "ce-el:focus=0.5",
    "ce-el:alpha=1,beta=3",
    "gce:q=learned(0.7)",
    "taylor-ce:t=6",
    "taylor-ce:t=2,6@50",
    "label-smoothing",
    "label-smoothing:epsilon=0.2",
    "label-smoothing:spread=others",
    "min-ent:beta1=learned(1,softmax),beta2=learned(0.1,softmax)",
    "min-ent:beta1=learned(2,softmax),beta2=learned(1,softmax)",
    "min-ent:beta2=learned(0.1,square)",
    "logit-adjust:tau=0.5",
    "cb-ce",
    "cb-ce:beta=0.9",
    "bce",
    "bi-tempered",
    "ml-asl",
]


def batch(runs, rows=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(runs, rows, CLASSES, generator=generator, dtype=dtype)
    return logits, torch.randint(0, CLASSES, (rows,), generator=generator)


def one(text):
    return Objective(losses.resolve(text), target=TARGETS, classes=CLASSES)


def many(*texts):
    return CohortObjective([losses.resolve(text) for text in texts], target=TARGETS, classes=CLASSES)


@torch.no_grad()
def losses_and_gradient(cohort, logits, target, clock, step=0):
    """The losses [R, B] of logits [R, B, C], and the gradient [R, B, C] of every run's batch mean in its logits."""
    softmax = Softmax(*logits.shape, dtype=logits.dtype, device=logits.device)
    softmax.logits.copy_(logits.permute(2, 0, 1))
    scores = softmax.fill(softmax.labels(target.expand(logits.shape[:2])))
    cohort.bound(scores, clock)(step)
    return scores.losses, scores.residual * (scores.factors * (1 / logits.shape[1])).unsqueeze(-1)


@pytest.mark.parametrize("texts", [MIXED, SINGLE_STEP], ids=["mixed", "catalogue"])
def test_a_cohort_computes_what_each_run_alone_would(texts):
    logits, target = batch(len(texts), dtype=torch.float64)
    cohort = many(*texts)
    values, gradient = losses_and_gradient(cohort, logits, target, MIDDLE)
    for run, text in enumerate(texts):
        alone = one(text)
        own = logits[run].clone().requires_grad_()
        (step,) = alone.steps(MIDDLE)
        loss = step(own, target)
        loss.mean().backward()
        torch.testing.assert_close(values[run], loss.detach(), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(gradient[run], own.grad, rtol=1e-6, atol=1e-9)
        for column, raw in enumerate(alone.raw.values()):
            torch.testing.assert_close(cohort.raw.grad[run, column], raw.grad)
        assert cohort.values(MIDDLE)[run] == pytest.approx(alone.values(MIDDLE))


@pytest.mark.parametrize("texts", [MIXED, SINGLE_STEP], ids=["mixed", "catalogue"])
@pytest.mark.parametrize("rows", [1, 8, 13])
def test_neighbours_change_nothing_to_the_bit(texts, rows):
    logits, target = batch(len(texts), rows)
    together = many(*texts)
    values, gradient = losses_and_gradient(together, logits, target, MIDDLE)
    for places in ([0], [len(texts) - 1, 4, 1], range(len(texts) // 2), *([run] for run in range(1, len(texts)))):
        some = many(*(texts[place] for place in places))
        few_values, few_gradient = losses_and_gradient(some, logits[list(places)], target, MIDDLE)
        assert torch.equal(few_values, values[list(places)])
        assert torch.equal(few_gradient, gradient[list(places)])
        if some.raw.numel():
            assert torch.equal(some.raw.grad, together.raw.grad[list(places)][:, : some.raw.shape[1]])


def test_runs_may_have_batches_of_their_own():
    logits, target = batch(3)
    targets = torch.stack([target, target.flip(0), (target + 1) % CLASSES])
    cohort = many("ce", "focal", "bce")
    values, gradient = losses_and_gradient(cohort, logits, targets, MIDDLE)
    for run in range(3):
        own_values, own_gradient = losses_and_gradient(cohort, logits, targets[run], MIDDLE)
        assert torch.equal(values[run], own_values[run])
        assert torch.equal(gradient[run], own_gradient[run])


def test_one_broken_run_leaves_the_others_alone():
    logits, target = batch(4)
    cohort = many("ce", "focal:gamma=learned(2)", "focal:gamma=learned(2)", "label-smoothing")
    healthy, gradient = losses_and_gradient(cohort, logits, target, MIDDLE)
    slopes = cohort.raw.grad.clone()
    cohort.raw.grad = None
    broken = logits.clone()
    broken[1] = float("nan")
    values, other_gradient = losses_and_gradient(cohort, broken, target, MIDDLE)
    kept = [0, 2, 3]
    assert torch.equal(values[kept], healthy[kept])
    assert torch.equal(other_gradient[kept], gradient[kept])
    assert torch.equal(cohort.raw.grad[kept], slopes[kept])


def test_learned_knobs_learn_alone_and_in_a_cohort_alike():
    texts = ["focal:gamma=learned(2)", "min-ent:beta1=learned(1,softmax),beta2=learned(0.1,softmax)", "ce"]
    logits, target = batch(3)
    cohort = many(*texts)
    singles = [one(text) for text in texts]
    rates = cohort.learned_lr(torch.full((3,), 0.1))
    for _ in range(5):
        cohort.raw.grad = None
        losses_and_gradient(cohort, logits, target, MIDDLE)
        with torch.no_grad():
            cohort.raw -= rates * cohort.raw.grad
        for run, single in enumerate(singles):
            groups = single.param_groups(0.1)
            if groups:
                optimizer = torch.optim.SGD(groups, lr=1.0)
                single.steps(MIDDLE)[0](logits[run], target).mean().backward()
                optimizer.step()
                optimizer.zero_grad()
    for run, single in enumerate(singles):
        assert cohort.values(MIDDLE)[run] == pytest.approx(single.values(MIDDLE), rel=1e-5)
    assert singles[0].values(MIDDLE)["gamma"] != pytest.approx(2, abs=1e-3)
    weights = singles[1].values(MIDDLE)
    assert weights["beta1"] + weights["beta2"] == pytest.approx(1.1, rel=1e-6)


def test_a_learned_knob_may_have_its_own_rate_and_never_decays():
    groups = one("focal:alpha=learned(1),gamma=learned(2,lr=0.5)").param_groups(0.1)
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.5, 0.0), (0.1, 0.0)]
    rates = many("focal:alpha=learned(1),gamma=learned(2,lr=0.5)", "ce").learned_lr(torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(rates, torch.tensor([[0.5, 0.1], [0.2, 0.2]]))


def test_values_name_what_moves():
    assert one("ce").values(MIDDLE) == {}
    assert one("focal:gamma=3").values(MIDDLE) == {}
    assert one("ce-el:focus=0-0.5").values(MIDDLE) == {"focus": 0.3}
    assert one("gce-trunc").values(Clock(epoch=0, epochs=100)) == {"k": 0.0}
    both = one("focal:alpha=1~0.5,gamma=learned(2)").values(Clock(epoch=1, epochs=2))
    assert both == pytest.approx({"alpha": 0.5, "gamma": 2})


def test_a_checkpoint_holds_the_learned_knobs():
    first, second = one("focal:gamma=learned(2)"), one("focal:gamma=learned(2)")
    with torch.no_grad():
        first.raw["gamma"] += 1
    second.load_state_dict(first.state_dict())
    assert second.values(MIDDLE) == first.values(MIDDLE)
    assert one("logit-adjust").state_dict() == {}


def test_two_steps_for_complement_training():
    logits, target = batch(1)
    first, second = one("cot").steps(MIDDLE)
    assert torch.equal(first(logits[0], target), losses.build("ce")(logits[0], target))
    assert (second(logits[0], target) <= 0).all()
    cohort = many("cot", "cot:normalize=K")
    assert cohort.step_count == 2
    pair = logits.expand(2, -1, -1)
    values, gradient = losses_and_gradient(cohort, pair, target, MIDDLE, step=1)
    torch.testing.assert_close(values[0], second(logits[0], target))
    torch.testing.assert_close(values[1] * CLASSES, values[0] * (CLASSES - 1))
    true = gradient.gather(-1, target.expand(2, -1).unsqueeze(-1))
    assert torch.equal(true, torch.zeros_like(true))
    with pytest.raises(UsageError, match="same number of steps"):
        many("cot", "ce")


@pytest.mark.parametrize("text", ["ce", "label-smoothing", "logitnorm", "mmc"])
def test_autocast_does_not_lower_the_precision(text):
    logits, target = batch(1)
    (step,) = one(text).steps(MIDDLE)
    expected = step(logits[0], target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(step(logits[0], target), expected)
        assert step(logits[0].bfloat16(), target).dtype == torch.float32


@pytest.mark.parametrize(
    ("text", "epochs", "classes", "part"),
    [
        ("ce-el:focus=0-0.5", 5, 10, "focus=0-0.5 needs at least 6 epochs to leave no phase empty, got 5"),
        ("ce-el:focus=0,0.5", 1, 10, "needs at least 2 epochs"),
        ("gce-trunc", 3, 10, "k=0,0.5@33 needs at least 4 epochs"),
        ("focal:gamma=0~5", 1, 10, "needs at least 2 epochs"),
        ("cot", 10, 2, "cot needs at least 3 classes, the data have 2"),
    ],
)
def test_what_the_run_cannot_serve_is_refused(text, epochs, classes, part):
    with pytest.raises(UsageError, match=part):
        objective.check(losses.resolve(text), epochs=epochs, classes=classes)
    objective.check(losses.resolve(text), epochs=100, classes=3)
