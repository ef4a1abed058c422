"""What the loss tests share: every step of every loss, with its knobs filled in."""

import torch

from lossbench import losses
from lossbench.losses import FromData
from lossbench.schedules import Clock

LAST = Clock(epoch=99, epochs=100)
COUNTS = (40, 10, 5, 1, 7)

STEPS = [(entry.name, index) for entry in losses.catalogue() for index in range(len(entry.steps))]
"""Name and step of everything registered: a new loss is under test by being there."""


def targets_of(counts):
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def step(text, index=0, *, classes=5, clock=LAST, **changed):
    """One step of a loss as a function (logits, target) -> per-sample loss."""
    entry, sources = losses.sources(losses.resolve(text))
    target = targets_of(COUNTS[:classes])
    values = {
        knob: source.read(target, classes) if isinstance(source, FromData) else losses.value_at(source, clock)
        for knob, source in sources.items()
    }
    return losses.per_sample(entry, entry.steps[index], values | changed)


def value_and_gradient(function, logits, target):
    logits = logits.detach().clone().requires_grad_()
    value = function(logits, target)
    value.sum().backward()
    return value.detach(), logits.grad


def ordinary(rows=12, classes=5, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.randint(0, classes, (rows,), generator=generator)
