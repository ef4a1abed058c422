"""The UCI data that scikit-learn carries inside its package: nothing to download."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lossbench.data.registry import register
from lossbench.data.types import Kind, Source, Split, Tables

_ORIGIN = "bundled with scikit-learn"
_LICENCE = "CC BY 4.0 (UCI)"


def _bunch(loader: str) -> Any:
    # scikit-learn costs more than a second to import, and most runs need none of it.
    from sklearn import datasets

    return getattr(datasets, loader)()


def _features(loader: str) -> Callable[[Path], Tables]:
    def read(folder: Path) -> Tables:
        bunch = _bunch(loader)
        return Tables(
            train=Split(inputs=torch.from_numpy(bunch.data).float(), target=torch.from_numpy(bunch.target).long()),
            class_names=tuple(map(str, bunch.target_names)),
        )

    return read


def _digits_images(folder: Path) -> Tables:
    bunch = _bunch("load_digits")
    # Pixels count to 16; times 15 they use the byte range that every other image set uses.
    images = torch.from_numpy(bunch.images * 15).to(torch.uint8).unsqueeze(1)
    return Tables(
        train=Split(inputs=images, target=torch.from_numpy(bunch.target).long()),
        class_names=tuple(map(str, bunch.target_names)),
    )


def _register(name: str, title: str, rows: int, shape: tuple[int, ...], classes: int, loader: str) -> None:
    kind: Kind = "images" if len(shape) == 3 else "features"
    register(
        Source(
            name=name,
            title=title,
            kind=kind,
            rows=rows,
            shape=shape,
            classes=classes,
            test_rows=0,
            licence=_LICENCE,
            origin=_ORIGIN,
            read=_digits_images if kind == "images" else _features(loader),
        )
    )


_register("digits", "UCI handwritten digits, 64 features", 1797, (64,), 10, "load_digits")
_register("digits-images", "UCI handwritten digits, 8x8 grey images", 1797, (1, 8, 8), 10, "load_digits")
_register("wine", "UCI wine, 13 features", 178, (13,), 3, "load_wine")
_register("iris", "UCI iris, 4 features", 150, (4,), 3, "load_iris")
_register("breast-cancer", "UCI breast cancer, 30 features", 569, (30,), 2, "load_breast_cancer")
