"""From the text of a loss to a canonical reference, and from there to functions of logits and target."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import UsageError
from lossbench.knobs import FromData, Learned, Scheduled, Source, canonical, settled, sources_of, value_at
from lossbench.losses import _user
from lossbench.losses._margin import bound_loss
from lossbench.losses._registry import Loss, LossFunction, catalogue, get
from lossbench.schedules import Clock
from lossbench.spec import LossRef, parse_loss

__all__ = ["build", "cautions", "find", "instance", "per_sample", "resolve", "sources"]


_HALVES = (torch.bfloat16, torch.float16)


def resolve(text: str, *, trial: bool = True) -> LossRef:
    """The canonical reference a text stands for: full name, only knobs that differ from the defaults, plain numbers.

    A user's own loss is tried on a few logits, unless `trial` is false.

    Raises:
        UsageError: unknown loss or knob, a value out of range, or a function that is no loss.
    """
    asked = parse_loss(text)
    _refuse_bare_knob(asked.name)
    code = _user.read(asked.name) if _user.is_user_loss(asked.name) else None
    entry = find(LossRef(asked.name, code=code))
    ref = canonical(entry, LossRef(asked.name, asked.knobs, code))
    if code is not None and trial:
        _user.try_out(entry.name, instance(ref, classes=3))
    return ref


def _refuse_bare_knob(name: str) -> None:
    """`focal:gamma` would otherwise be taken for the function gamma of a module focal."""
    before, _, after = name.partition(":")
    if after and any(before in (entry.name, *entry.aliases) for entry in catalogue()):
        raise UsageError(f"loss {name!r}: write {before}:knob=value")


def find(ref: LossRef) -> Loss:
    """The loss a reference names; a user's own is made from the source text it carries.

    Raises:
        UsageError: there is none, or the user's file is not a loss.
    """
    return get(ref.name) if ref.code is None else _user.load(ref.name, ref.code)


def sources(ref: LossRef) -> tuple[Loss, dict[str, Source]]:
    """A loss and the source of each of its knobs, overrides applied."""
    entry = find(ref)
    return entry, sources_of(entry, ref)


def cautions(ref: LossRef) -> tuple[str, ...]:
    """What a user should know before training with a loss, one sentence each."""
    entry, chosen = sources(ref)
    tied = [knob for knob, source in chosen.items() if isinstance(source, Learned) and source.style == "softmax"]
    told = []
    if len(tied) == 1:
        told.append(f"{ref}: {tied[0]} is alone in softmax style and so stays what it is")
    for knob in entry.ill_posed:
        source = chosen[knob]
        if isinstance(source, Learned) and source.style != "softmax":
            end = "runs away without bound" if source.style == "free" else "switches its term off"
            told.append(
                f"{ref}: a learned {knob} is ill-posed: the loss falls fastest when it {end}; watch loss/{knob}"
            )
    return tuple(told)


def build(
    text: str, *, clock: Clock | None = None, target: Tensor | None = None, classes: int | None = None
) -> LossFunction:
    """The loss a text stands for, as a function `(logits [N, C], target [N]) -> loss per sample [N]`.

    `clock` is needed where a knob is scheduled; training targets and the number of classes where one comes from data.
    `target` at the call may be class indices [N] or class shares [N, C].

    Raises:
        UsageError: unknown loss or knob, a value out of range, or something needed that was not given.
    """
    ref = resolve(text)
    entry, chosen = sources(ref)
    if len(entry.steps) > 1:
        raise UsageError(
            f"{entry.name} takes {len(entry.steps)} steps per batch; lossbench.objective.Objective runs them"
        )
    values: dict[str, Any] = {}
    for knob, source in chosen.items():
        if isinstance(source, Learned):
            raise UsageError(f"{ref}: {knob} is learned, which needs lossbench.objective.Objective")
        if isinstance(source, Scheduled) and clock is None:
            raise UsageError(f"{ref}: {knob} follows a schedule; pass clock=Clock(epoch=.., epochs=..)")
        if isinstance(source, FromData):
            if target is None or classes is None:
                raise UsageError(f"{ref}: {knob} comes from the training data; pass target=.. and classes=..")
            values[knob] = source.read(target, classes)
        else:
            values[knob] = value_at(source, clock or Clock(epoch=0, epochs=1))
    return per_sample(entry, entry.steps[0], values)


def instance(
    asked: str | LossRef, *, classes: int, knobs: Mapping[str, Any] | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """A one-step loss to look at without training: scheduled knobs as in the last epoch, learned ones at their start,
    class c imagined c + 1 times in the training set, and `knobs` over all of these."""
    entry, chosen = sources(resolve(asked, trial=False) if isinstance(asked, str) else asked)
    imagined = torch.arange(classes).repeat_interleave(torch.arange(1, classes + 1))
    values = {
        knob: source.read(imagined, classes) if isinstance(source, FromData) else settled(source)
        for knob, source in chosen.items()
    }
    return per_sample(entry, entry.steps[0], {**values, **(knobs or {})})


def per_sample(entry: Loss, step: LossFunction, values: Mapping[str, Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """A step with its knobs filled in, computing in float32 or wider and taking indices or class shares as target."""
    if entry.curve is not None and not any(isinstance(value, Tensor) for value in values.values()):
        step, values = bound_loss(entry.curve, values), {}

    def function(logits: Tensor, target: Tensor) -> Tensor:
        if logits.dtype in _HALVES:
            logits = logits.float()
        if target.is_floating_point() and entry.family != "multi-label":
            return _by_shares(step, logits, target, values)
        return step(logits, target, **values)

    return function


def _by_shares(step: LossFunction, logits: Tensor, target: Tensor, values: Mapping[str, Any]) -> Tensor:
    """The linear rule sum_j t_j L(q, j), over the classes with a share."""
    rows, labels = target.nonzero(as_tuple=True)
    spread = {
        knob: value.expand(len(logits))[rows]
        if isinstance(value, Tensor) and value.shape[:1] == logits.shape[:1]
        else value
        for knob, value in values.items()
    }
    losses = step(logits[rows], labels, **spread) * target[rows, labels].to(logits.dtype)
    return logits.new_zeros(len(logits)).index_add(0, rows, losses)
