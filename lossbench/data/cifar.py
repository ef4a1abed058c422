"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 32x32 colour photographs, 50,000 to train and 10,000 to test.

Checksums are those of torchvision, which serves the same archives.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data import arrays
from lossbench.data._pickles import load
from lossbench.data.archive import Remote, each_member, fetch
from lossbench.data.progress import tracked
from lossbench.data.registry import register
from lossbench.data.types import Source, Tables
from lossbench.errors import DataError, UsageError

_SHAPE = (3, 32, 32)
_FINE_CLASSES = 100
_LICENCE = "no licence stated; the author asks to be cited (Krizhevsky 2009)"

_CIFAR10_NAMES = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


# Classes that people and networks mix up: truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog
# (Patrini et al., arXiv 1609.03683).
_CIFAR10_MISTAKEN_FOR = (0, 1, 0, 5, 7, 3, 6, 7, 8, 1)


def _read(
    folder: Path,
    *,
    name: str,
    class_names: tuple[str, ...],
    remote: Remote,
    pickles: dict[str, str],
    label_keys: dict[str, str],
) -> Tables:
    """Read the arrays, after making them from the archive where they are not there yet.

    Args:
        pickles: member of the archive -> the split it belongs to.
        label_keys: key in the pickle -> name of the array it becomes.
    """

    def make() -> dict[str, arrays.Arrays]:
        archive = fetch(remote, folder, wanted_by=name, layout=_layout(name, remote))
        found = each_member(archive, pickles.__contains__, lambda member, file: load(file, f"{archive}:{member}"))
        parts = dict(tracked(found, f"{name}: reading {archive.name}, parts", len(pickles)))
        if missing := [member for member in pickles if member not in parts]:
            raise DataError(f"{archive} holds no {', '.join(missing)}; it is not the archive from {remote.url}")
        return {
            split: _joined([parts[member] for member, own in pickles.items() if own == split], archive, label_keys)
            for split in ("train", "test")
        }

    train, test = arrays.prepared(folder, name, shape=_SHAPE, classes=len(class_names), make=make)
    return Tables(
        train=train,
        test=test,
        class_names=class_names,
        human_labels=partial(_human_labels, folder, f"{name}n_labels.npz", train.target),
        mistaken_for=_CIFAR10_MISTAKEN_FOR if name == "cifar10" else _next_of_its_kind(folder / name, train.target),
    )


def _human_labels(folder: Path, file: str, published: Tensor, wanted: str) -> Tensor:
    """Labels of CIFAR-N (Wei et al., arXiv 2110.12088), for non-commercial use, from `cifarn/` in the data folder."""
    path = folder / "cifarn" / file
    if not path.is_file():
        raise DataError(
            f"{path} is missing; save the arrays of the label file from http://noisylabels.com there with numpy.savez"
        )
    labels, clean = arrays.column(path, wanted), arrays.column(path, "clean_label")
    if labels is None:
        raise UsageError(f"{path} holds no labels named {wanted!r}; CIFAR-10N has worse_label, CIFAR-100N noisy_label")
    if clean is None or not torch.equal(clean, published) or len(labels) != len(published):
        raise DataError(f"{path} does not belong to these images: its clean_label differs from their labels")
    return labels


def _next_of_its_kind(home: Path, target: Tensor) -> tuple[int, ...] | None:
    """Each class of CIFAR-100 -> the next one inside its superclass of five, around the circle."""
    coarse = arrays.column(home / "train.npz", "coarse_labels")
    if coarse is None or len(coarse) != len(target):
        return None
    kinds = torch.full((_FINE_CLASSES,), -1).scatter_(0, target, coarse).tolist()
    circles = {kind: [label for label in range(_FINE_CLASSES) if kinds[label] == kind] for kind in kinds}
    following = {
        label: circle[place + 1 - len(circle)] for circle in circles.values() for place, label in enumerate(circle)
    }
    return tuple(following[label] for label in range(_FINE_CLASSES))


def _joined(parts: list[dict[str, Any]], archive: Path, label_keys: dict[str, str]) -> dict[str, Any]:
    try:
        # The only part of CIFAR-100 is not copied.
        rows = np.concatenate([part["data"] for part in parts]) if len(parts) > 1 else parts[0]["data"]
        images = rows.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1)
        labels = {
            array: np.concatenate([np.asarray(part[key], dtype=np.int64) for part in parts])
            for key, array in label_keys.items()
        }
    except (KeyError, ValueError) as error:
        raise DataError(f"{archive} does not hold the arrays expected of it: {error}") from error
    return {"images": images, **labels}


def _layout(name: str, remote: Remote) -> tuple[str, ...]:
    return (f"{name}/train.npz", remote.file)


def _register(
    name: str, title: str, names: str, remote: Remote, *, pickles: dict[str, str], label_keys: dict[str, str]
) -> None:
    class_names = tuple(names.split())
    register(
        Source(
            name=name,
            title=title,
            kind="images",
            rows=60_000,
            shape=_SHAPE,
            classes=len(class_names),
            test_rows=10_000,
            licence=_LICENCE,
            origin=remote.url,
            layout=_layout(name, remote),
            kept=_layout(name, remote)[0],
            read=partial(
                _read, name=name, class_names=class_names, remote=remote, pickles=pickles, label_keys=label_keys
            ),
        )
    )


_register(
    "cifar100",
    "CIFAR-100, 32x32 photographs",
    _CIFAR100_NAMES,
    Remote(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        file="cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
    ),
    pickles={"cifar-100-python/train": "train", "cifar-100-python/test": "test"},
    label_keys={"fine_labels": "labels", "coarse_labels": "coarse_labels"},
)
_register(
    "cifar10",
    "CIFAR-10, 32x32 photographs",
    _CIFAR10_NAMES,
    Remote(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        file="cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
    ),
    pickles={f"cifar-10-batches-py/data_batch_{part}": "train" for part in range(1, 6)}
    | {"cifar-10-batches-py/test_batch": "test"},
    label_keys={"labels": "labels"},
)
