"""What every registered loss promises; a new one is held to it with no edit here."""

import inspect

import pytest
import torch

from lossbench import losses
from lossbench.losses import Fixed, FromData, Scheduled
from tests.losses.cases import COUNTS, LAST, STEPS, ordinary, step, value_and_gradient

every_step = pytest.mark.parametrize(("name", "index"), STEPS)
every_loss = pytest.mark.parametrize("entry", losses.catalogue(), ids=lambda entry: entry.name)

EXTREME = [
    [1000.0, -1000.0, 0.0, 500.0],
    [1000.0, 1000.0, -1000.0, 3.0],
    [0.0, 0.0, 0.0, 0.0],
    [1000.0, 1000.0, 1000.0, 1000.0],
    [80.0, -20.0, 80.0, -90.0],
]


@every_step
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_value_and_gradient_are_finite_at_extreme_logits(name, index, dtype):
    logits = torch.tensor(EXTREME, dtype=dtype).repeat(4, 1)
    target = torch.arange(4).repeat_interleave(len(EXTREME))
    value, gradient = value_and_gradient(step(name, index, classes=4), logits, target)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


@every_step
def test_the_result_is_one_number_per_sample_in_float32_or_wider(name, index):
    logits, target = ordinary()
    for dtype, expected in ((torch.float64,) * 2, (torch.float32,) * 2, (torch.bfloat16, torch.float32)):
        value = step(name, index)(logits.to(dtype), target)
        assert value.shape == target.shape
        assert value.dtype == expected


@every_step
def test_the_gradient_is_the_derivative_of_the_value(name, index):
    logits, target = ordinary(rows=6)
    function = step(name, index)
    _, gradient = value_and_gradient(function, logits, target)
    h = 1e-5
    for j in range(logits.shape[-1]):
        shift = torch.zeros_like(logits)
        shift[:, j] = h
        slope = (function(logits + shift, target) - function(logits - shift, target)) / (2 * h)
        torch.testing.assert_close(gradient[:, j], slope, rtol=1e-6, atol=1e-8)


@every_step
def test_samples_do_not_see_each_other(name, index):
    logits, target = ordinary(dtype=torch.float32, rows=37)
    function = step(name, index)
    value, gradient = value_and_gradient(function, logits, target)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(1))
    shuffled = value_and_gradient(function, logits[order], target[order])
    alone = value_and_gradient(function, logits[5:6], target[5:6])
    # To the bit: what a run computes must not depend on what is computed beside it.
    assert torch.equal(shuffled[0], value[order])
    assert torch.equal(shuffled[1], gradient[order])
    assert torch.equal(alone[0], value[5:6])
    assert torch.equal(alone[1], gradient[5:6])


@every_step
def test_classes_are_only_labels(name, index):
    logits, target = ordinary()
    order = torch.tensor([3, 0, 4, 1, 2])
    table = torch.tensor(COUNTS, dtype=torch.float64)
    counts = {knob: table for knob, source in losses.get(name).knobs.items() if isinstance(source, FromData)}
    value, gradient = value_and_gradient(step(name, index, **counts), logits, target)
    moved = {knob: each[order] for knob, each in counts.items()}
    permuted = value_and_gradient(step(name, index, **moved), logits[:, order], order.argsort()[target])
    torch.testing.assert_close(permuted[0], value)
    torch.testing.assert_close(permuted[1], gradient[:, order])


@every_step
def test_softmax_losses_ignore_a_shift_of_all_logits(name, index):
    logits, target = ordinary()
    value, gradient = value_and_gradient(step(name, index), logits, target)
    shifted, _ = value_and_gradient(step(name, index), logits + 3.25, target)
    ignores = losses.get(name).family in ("true class", "softmax")
    assert torch.allclose(value, shifted) == ignores
    assert torch.allclose(gradient.sum(-1), torch.zeros(len(target), dtype=torch.float64)) == ignores


@every_step
def test_numeric_knobs_may_differ_from_sample_to_sample(name, index):
    logits, target = ordinary()
    _, sources = losses.sources(losses.resolve(name))
    plain, _ = value_and_gradient(step(name, index), logits, target)
    for knob, source in sources.items():
        if not isinstance(source, Fixed | Scheduled):
            continue
        number = losses.value_at(source, LAST)
        if not isinstance(number, float):
            continue
        # Half of the samples keep the default; only they may keep the value.
        other = number + 0.25 * (1 - number) if number + 0.25 * (1 - number) in source.domain else number * 1.5
        mixed = torch.full((len(target),), number, dtype=torch.float64)
        mixed[::2] = other
        value, _ = value_and_gradient(step(name, index, **{knob: mixed}), logits, target)
        changed, _ = value_and_gradient(step(name, index, **{knob: other}), logits, target)
        torch.testing.assert_close(value[1::2], plain[1::2])
        torch.testing.assert_close(value[::2], changed[::2])


@every_step
def test_numeric_knobs_can_be_learned(name, index):
    logits, target = ordinary()
    _, sources = losses.sources(losses.resolve(name))
    for knob, source in sources.items():
        number = losses.value_at(source, LAST) if isinstance(source, Fixed | Scheduled) else None
        if not isinstance(number, float):
            continue
        # Off the default, which may lie where the loss has a kink in its knob, as mixtures do at focus 0.
        number = number + 0.01 if number + 0.02 in source.domain else number - 0.02
        learned = torch.tensor(number, dtype=torch.float64, requires_grad=True)
        result = step(name, index, **{knob: learned})(logits, target).sum()
        if not result.requires_grad:
            continue
        (slope,) = torch.autograd.grad(result, learned)
        h = 1e-6
        up, down = (step(name, index, **{knob: number + sign * h})(logits, target).sum() for sign in (1, -1))
        torch.testing.assert_close(slope, (up - down) / (2 * h), rtol=1e-5, atol=1e-7)


@every_loss
def test_shares_of_classes_follow_the_linear_rule(entry):
    if entry.family == "multi-label":
        pytest.skip("its target is a table of labels")
    logits, target = ordinary()
    other = (target + 2) % 5
    shares = torch.zeros_like(logits)
    shares[torch.arange(len(target)), target] = 0.75
    shares[torch.arange(len(target)), other] = 0.25
    for index in range(len(entry.steps)):
        function = step(entry.name, index)
        value, gradient = value_and_gradient(function, logits, shares)
        first, second = (value_and_gradient(function, logits, each) for each in (target, other))
        torch.testing.assert_close(value, 0.75 * first[0] + 0.25 * second[0])
        torch.testing.assert_close(gradient, 0.75 * first[1] + 0.25 * second[1])


@every_loss
def test_the_curve_is_the_loss_and_its_gradient_weight(entry):
    if entry.curve is None:
        pytest.skip("it depends on more than p_y")
    logits, target = ordinary()
    probabilities = logits.softmax(-1)
    _, sources = losses.sources(losses.resolve(entry.name))
    knobs = {knob: losses.value_at(source, LAST) for knob, source in sources.items()}
    p_true = probabilities.gather(-1, target.unsqueeze(-1))
    value, weight = entry.curve(losses.at_probability(p_true), **knobs)
    loss, gradient = value_and_gradient(step(entry.name), logits, target)
    residual = probabilities - torch.nn.functional.one_hot(target, 5)
    torch.testing.assert_close(loss, value.squeeze(-1))
    torch.testing.assert_close(gradient, weight * residual)


@every_step
def test_a_second_derivative_is_refused_rather_than_wrong(name, index):
    logits, target = ordinary()
    if losses.get(name).family in ("multi-label", "scores"):
        pytest.skip("its backward pass is torch's own")
    logits.requires_grad_()
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(step(name, index)(logits, target).sum(), logits, create_graph=True)


@every_loss
def test_the_documentation_says_what_a_reader_needs(entry):
    assert entry.summary.endswith(".")
    assert "    L = " in entry.doc or "step 1:  L = " in entry.doc
    assert "Returns:" in entry.doc
    assert ("Gradient weight:" in entry.doc) == (entry.curve is not None)
    for knob in entry.knobs:
        assert knob in entry.doc
    assert entry.cites or entry.name == "ce"
    for function in entry.steps if entry.curve is None else (entry.curve,):
        parameters = inspect.signature(function).parameters.values()
        assert {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} == set(entry.knobs)
