"""Made-up data for tests and smoke runs: the same numbers on every machine, no file, no import."""

from pathlib import Path

import torch

from lossbench.data.registry import register
from lossbench.data.splits import generator
from lossbench.data.types import Kind, Source, Split, Tables

_CLASSES = 4
_ROWS = 400
_SHAPES: dict[Kind, tuple[int, ...]] = {"features": (8,), "images": (3, 8, 8)}


def _tables(kind: Kind, folder: Path) -> Tables:
    """Classes of equal size, each a centre plus noise wide enough that they overlap a little."""
    random = generator(0, "synthetic", kind)
    shape = _SHAPES[kind]
    target = torch.arange(_ROWS) % _CLASSES
    centres = torch.randn(_CLASSES, *shape, generator=random)
    inputs = centres[target] + torch.randn(_ROWS, *shape, generator=random)
    if kind == "images":
        inputs = (inputs * 32 + 128).round().clamp(0, 255).to(torch.uint8)
    held = _ROWS * 3 // 4
    return Tables(
        train=Split(inputs=inputs[:held], target=target[:held]),
        test=Split(inputs=inputs[held:], target=target[held:]),
        class_names=tuple(f"class {label}" for label in range(_CLASSES)),
    )


def _register(name: str, kind: Kind) -> None:
    register(
        Source(
            name=name,
            title=f"{_CLASSES} overlapping clouds, {'x'.join(map(str, _SHAPES[kind]))} {kind}",
            kind=kind,
            rows=_ROWS,
            shape=_SHAPES[kind],
            classes=_CLASSES,
            test_rows=_ROWS // 4,
            licence="none needed",
            origin="built from a seed",
            read=lambda folder: _tables(kind, folder),
        )
    )


_register("synthetic", "features")
_register("synthetic-images", "images")
