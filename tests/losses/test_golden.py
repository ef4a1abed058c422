"""Values and gradients against a 60-digit computation straight from the printed formulas."""

import json
from pathlib import Path

import pytest
import torch

from lossbench import losses
from lossbench.losses import FromData, Learned
from lossbench.schedules import Clock

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))
LAST = Clock(epoch=99, epochs=100)

RELATIVE = {torch.float64: 1e-9, torch.float32: 2e-5}
# Below the smallest normal number a float has fewer digits than were asked for.
UNDERFLOW = {torch.float64: 1e-300, torch.float32: 1e-37}


def training_targets(classes):
    counts = torch.tensor(GOLDEN["counts"][:classes])
    return torch.repeat_interleave(torch.arange(classes), counts)


def step_of(text, index, classes):
    entry, sources = losses.sources(losses.resolve(text))
    values = {
        knob: source.read(training_targets(classes), classes)
        if isinstance(source, FromData)
        else losses.value_at(source, LAST)
        for knob, source in sources.items()
        if not isinstance(source, Learned)
    }
    return entry, losses.per_sample(entry, entry.steps[index], values)


CASES = [
    pytest.param(text, block, index, id=f"{text}-{block}")
    for index, kind in ((0, "losses"), (1, "second_steps"))
    for text, blocks in GOLDEN[kind].items()
    for block in blocks
]


def of_true_class(text):
    return losses.sources(losses.resolve(text))[0].curve is not None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("text", "block", "index"), CASES)
def test_value_and_gradient_equal_the_formula(text, block, index, dtype):
    rows = GOLDEN["blocks"][block]
    logits = torch.tensor(rows["logits"], dtype=dtype, requires_grad=True)
    entry, function = step_of(text, index, logits.shape[-1])
    values, gradients = GOLDEN[("losses", "second_steps")[index]][text][block]

    result = function(logits, torch.tensor(rows["target"]))
    result.sum().backward()

    for row, (value, expected) in enumerate(zip(values, gradients, strict=True)):
        close(result[row].detach(), value, dtype, scale=abs(value))
        if expected is None:
            continue
        for found, slope in zip(logits.grad[row], expected, strict=True):
            # A loss of p_y alone is exact entry by entry; in others terms may cancel, so the row sets the scale.
            scale = abs(slope) if entry.curve else max(map(abs, expected))
            close(found, slope, dtype, scale)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("text", "block", "index"), [case for case in CASES if of_true_class(case.values[0])])
def test_classes_without_probability_change_nothing(text, block, index, dtype):
    """The formulas of p_y once more where there are many classes, which takes other kernels."""
    rows = GOLDEN["blocks"][block]
    few = torch.tensor(rows["logits"], dtype=dtype)
    impossible = (few.amin(-1, keepdim=True) - 3000).expand(-1, 700)
    logits = torch.cat([few, impossible], -1).requires_grad_()
    _, function = step_of(text, index, few.shape[-1])
    values, gradients = GOLDEN["losses"][text][block]

    result = function(logits, torch.tensor(rows["target"]))
    result.sum().backward()

    for row, (value, expected) in enumerate(zip(values, gradients, strict=True)):
        close(result[row].detach(), value, dtype, scale=abs(value))
        for found, slope in zip(logits.grad[row], expected or (), strict=False):
            close(found, slope, dtype, abs(slope))
    assert not logits.grad[:, few.shape[-1] :].any()


def test_a_sample_gets_the_same_bits_in_any_company_of_many_classes():
    generator = torch.Generator().manual_seed(0)
    logits = (30 * torch.randn(37, 1000, generator=generator)).requires_grad_()
    target = torch.randint(0, 1000, (37,), generator=generator)
    for text in ("ce", "focal", "js", "agce", "encouraging", "gce-trunc", "inverse-focal"):
        _, function = step_of(text, 0, 5)
        together = function(logits, target)
        (gradient,) = torch.autograd.grad(together.sum(), logits)
        for row in (0, 17, 36):
            alone = logits.detach()[row : row + 1].clone().requires_grad_()
            value = function(alone, target[row : row + 1])
            (slope,) = torch.autograd.grad(value.sum(), alone)
            assert torch.equal(value[0], together[row])
            assert torch.equal(slope[0], gradient[row])


def close(found, expected, dtype, scale):
    assert found.dtype == dtype
    assert abs(found.item() - expected) <= RELATIVE[dtype] * scale + UNDERFLOW[dtype], (found.item(), expected)


def test_every_loss_is_covered():
    covered = {losses.resolve(text).name for text in [*GOLDEN["losses"], *GOLDEN["second_steps"]]}
    assert covered == {entry.name for entry in losses.catalogue()}
