"""What a run is asked to do: frozen values, their canonical JSON and the keys made from it.

A `RunSpec` is complete: preset, loss and seed fix every number a run computes on one machine. Two keys identify it:
`key` names the question (same question, same key, on any machine), `recipe` names everything but loss and seed.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from lossbench.errors import UsageError

__all__ = [
    "LARGEST_COUNT",
    "NUMBERS_VERSION",
    "DataSpec",
    "LossRef",
    "MetricRule",
    "ModelSpec",
    "OptimizerSpec",
    "Preset",
    "Published",
    "RunSpec",
    "Suite",
    "differing_fields",
    "parse_assignment",
    "parse_loss",
    "plain",
]

NUMBERS_VERSION = 1
"""Raised when the same spec comes to mean other numbers, so that old and new results never share a key."""

LARGEST_COUNT = 2**31 - 1
"""The largest seed and number of epochs that `lossbench.events` reads back."""

_DOCUMENTATION = {"documentation": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which rows a run sees and what is done to them."""

    name: str
    limit: Annotated[int, Ge(1)] | None = None
    """Use this many training rows, drawn by class with `split_seed`."""
    validation: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the training rows held out for validation."""
    test: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the rows held out for testing, for a data set published without a test split."""
    fold: Annotated[int, Ge(0)] = 0
    """Which of its published divisions into training and test rows, for a data set that has several."""
    split_seed: Annotated[int, Ge(0)] = 0
    classes: tuple[Annotated[int, Ge(0)], ...] = ()
    """Keep only the rows of these classes, which are then numbered from 0 in this order; empty keeps all."""
    imbalance: Annotated[float, Ge(1)] = 1.0
    """Training rows of the largest class over those of the smallest; class sizes fall geometrically with the label."""
    noise: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the training rows that get a wrong label; validation and test rows keep theirs."""
    noise_kind: Literal["sym", "sym-incl", "asym"] = "sym"
    """Wrong labels are drawn from the other classes, from all classes, or are the class it is mistaken for."""
    noise_seed: Annotated[int, Ge(0)] = 0
    human_labels: str = ""
    """Train on these labels that people gave, by the name of their array in the label file."""
    tokenizer: str = ""
    """Folder or hub name of the BERT into whose word pieces text is divided; empty makes some of the training text."""
    normalize: Literal["none", "feature", "channel", "pixel-mean", "imagenet"] = "none"
    """Subtract and divide by training statistics: per feature, per channel, or only subtract the mean image; or by
    ImageNet's, per channel."""
    side: Annotated[int, Ge(8)] | None = None
    """Height and width that pictures of many sizes are scaled to, for a data set read from its files."""
    part: Annotated[float, Ge(0), Le(1)] = 0.0
    """Train on a random part of each such picture, of at least this share of its area; 0 takes the middle."""
    flip: bool = False
    """Mirror each training image with probability one half."""
    crop_padding: Annotated[int, Ge(0)] = 0
    """Zero-pad each training image by this many pixels and crop it back at a random place."""
    rotation: Annotated[float, Ge(0), Le(180)] = 0.0
    """Turn each training image by up to this many degrees either way."""
    perspective: Annotated[float, Ge(0), Le(1)] = 0.0
    """With probability one half, pull each corner inwards by up to this share of half the image."""
    jitter: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Multiply brightness, contrast and saturation by factors between 1 minus and 1 plus this."""
    erasing: Annotated[float, Ge(0), Le(1)] = 0.0
    """Probability of blanking a random rectangle of a training image, of 2 to 33 % of its area."""
    mixup: Annotated[float, Ge(0)] = 0.0
    """Blend each training batch with itself in another order, by a share from Beta(mixup, mixup); 0 does not."""
    cutmix: Annotated[float, Ge(0)] = 0.0
    """The same by pasting a rectangle, its area from Beta(cutmix, cutmix)."""

    @property
    def augmented(self) -> bool:
        """Whether a training image looks different from epoch to epoch."""
        changes = (
            self.part,
            self.crop_padding,
            self.rotation,
            self.perspective,
            self.jitter,
            self.erasing,
            self.mixup,
            self.cutmix,
        )
        return self.flip or any(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """An architecture and the options it takes."""

    name: str
    hidden: tuple[Annotated[int, Ge(1)], ...] = ()
    """Widths of the hidden layers, for the models that let them be chosen."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    pretrained: str = ""
    """Folder or hub name of published weights to begin with; empty begins with random ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """How a gradient becomes a step."""

    name: Literal["sgd", "adam", "adamw"]
    lr: Annotated[float, Gt(0)]
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    nesterov: bool = False
    schedule: str = "1"
    """Factor on `lr` over the epochs, in the text of `lossbench.schedules`."""
    redraw: Literal["", "val", "test"] = ""
    """After an epoch in which the accuracy on this split has not risen, `lr` times the cube of a uniform number is
    taken. With `test` the rows that judge also steer, as in the code of arXiv 2007.03347."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """The one metric a preset is judged by, and at which epochs."""

    name: str = "top1_acc"
    at: str = "last"
    """`last`, `mean:A-B` (epochs counted from 1, both included) or `best-val`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A figure somebody else reported; shown beside ours, never judged."""

    loss: str
    metric: str
    value: float
    """As a fraction, like every stored metric."""
    spread: float | None = None
    n: int | None = None
    source: str = ""
    preset: str = ""
    """Which preset it belongs to, where it stands in a suite; empty for a figure over the whole suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A published table as a sweep: presets, losses and seeds, and the figures that were reported."""

    name: str
    title: str
    cites: tuple[str, ...] = ()
    presets: tuple[str, ...]
    """Names of presets, or patterns such as `uci-*-linear`."""
    losses: tuple[str, ...]
    seeds: str
    """In the text of `sweep --seeds`."""
    grid: tuple[str, ...] = ()
    """In the text of `sweep --grid`."""
    tuned: tuple[str, ...] = ()
    """Fields of the grid of which each loss is judged at its own value, the best on the validation rows."""
    published: tuple[Published, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One experiment: everything but the loss and the seed."""

    name: str
    title: str = field(default="", metadata=_DOCUMENTATION)
    cites: tuple[str, ...] = field(default=(), metadata=_DOCUMENTATION)
    data: DataSpec
    model: ModelSpec
    epochs: Annotated[int, Ge(1), Le(LARGEST_COUNT)]
    batch_size: Annotated[int, Ge(1)]
    optimizer: OptimizerSpec
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    compile: Literal["off", "auto", "on"] = "off"
    """Whether training passes are compiled; `auto` where the training is long enough to repay it."""
    keep_predictions: tuple[Annotated[int, Ge(1)], ...] = field(default=(), metadata=_DOCUMENTATION)
    """Epochs after which the predictions of the test rows are kept, beside those of the last."""
    metric: MetricRule = field(default=MetricRule(), metadata=_DOCUMENTATION)
    published: tuple[Published, ...] = field(default=(), metadata=_DOCUMENTATION)


@dataclass(frozen=True, slots=True)
class LossRef:
    """A loss by name, with the knobs that differ from its defaults.

    `code` is the source text of a user's own function, so that the reference stays whole when the file changes.
    """

    name: str
    knobs: tuple[tuple[str, str], ...] = ()
    code: str | None = None

    def __str__(self) -> str:
        label = self.name if self.code is None else f"{self.name}@{_digest(self.code)[:8]}"
        return label + (":" if self.knobs else "") + ",".join(f"{knob}={text}" for knob, text in self.knobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One cell of the bench: a preset, a loss and a seed."""

    preset: Preset
    loss: LossRef
    seed: Annotated[int, Ge(0), Le(LARGEST_COUNT)]
    numbers_version: int

    @property
    def key(self) -> str:
        """12 hexadecimal digits that name this question on any machine."""
        return _digest(_canonical_json(self))[:12]

    @property
    def recipe(self) -> str:
        """12 hexadecimal digits that name everything but loss and seed."""
        return _digest(_canonical_json([self.preset, self.numbers_version]))[:12]

    def resolved(self) -> dict[str, Any]:
        """Every field, defaults and documentation included, as plain JSON values."""
        whole = plain(self)
        sha256 = None if self.loss.code is None else _digest(self.loss.code)
        return {**whole, "loss": {**whole["loss"], "text": str(self.loss), "sha256": sha256}}


def plain(value: "Preset | RunSpec") -> dict[str, Any]:
    """Every field as plain JSON values."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(value)))
    return fields


def differing_fields(left: Mapping[str, Any], right: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two resolved specs differ."""
    names = []
    for name in sorted(left.keys() | right.keys()):
        one, other = left.get(name), right.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names += differing_fields(one, other, f"{prefix}{name}.")
        elif one != other:
            names.append(prefix + name)
    return names


def parse_assignment(text: str) -> tuple[str, str]:
    """Split `key=value`.

    Raises:
        UsageError: there is no `=` or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{text!r} is not of the form field=value, such as optimizer.lr=0.05")
    return key.strip(), value.strip()


def parse_loss(text: str) -> LossRef:
    """Read `name:knob=value,knob=value`; a comma without a following `knob=` belongs to the value before it.

    Raises:
        UsageError: the text is not of that form, or names a knob twice.
    """
    # A path such as ./my_loss.py:my_fn has a colon of its own, so knobs begin at the first colon whose rest holds an
    # equals sign before any further colon.
    match = re.fullmatch(r"(?P<name>.+?)(?::(?P<knobs>[A-Za-z_]\w*=.*))?", text.strip())
    if match is None:
        raise UsageError("a loss needs a name, such as ce or focal:gamma=3")
    knobs: dict[str, str] = {}
    # A comma inside parentheses belongs to a learned(..) or a schedule.
    for part in re.split(r",(?=[A-Za-z_]\w*=)(?![^(]*\))", match["knobs"] or ""):
        if not part:
            continue
        knob, value = parse_assignment(part)
        if not value:
            raise UsageError(f"loss {text!r}: knob {knob!r} has no value")
        if knob in knobs:
            raise UsageError(f"loss {text!r} sets knob {knob!r} twice")
        knobs[knob] = value
    return LossRef(match["name"], tuple(sorted(knobs.items())))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical_json(value: object) -> str:
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))


def _canonical(value: object) -> object:
    # Fields at their default are left out, so that a new optional field leaves every earlier key as it was.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            entry.name: _canonical(getattr(value, entry.name))
            for entry in dataclasses.fields(value)
            if not entry.metadata.get("documentation") and getattr(value, entry.name) != entry.default
        }
    if isinstance(value, (tuple, list)):
        return [_canonical(item) for item in value]
    return value
