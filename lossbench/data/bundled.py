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


def _register(name: str, title: str, kind: Kind, rows: int, classes: int, read: Callable[[Path], Tables]) -> None:
    register(
        Source(
            name=name,
            title=title,
            kind=kind,
            rows=rows,
            classes=classes,
            has_test=False,
            licence=_LICENCE,
            origin=_ORIGIN,
            read=read,
        )
    )


_register("digits", "UCI handwritten digits, 64 features", "features", 1797, 10, _features("load_digits"))
_register("digits-images", "UCI handwritten digits, 8x8 grey images", "images", 1797, 10, _digits_images)
_register("wine", "UCI wine, 13 features", "features", 178, 3, _features("load_wine"))
_register("iris", "UCI iris, 4 features", "features", 150, 3, _features("load_iris"))
_register("breast-cancer", "UCI breast cancer, 30 features", "features", 569, 2, _features("load_breast_cancer"))
