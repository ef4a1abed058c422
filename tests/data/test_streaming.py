"""Pictures read from their files: an ImageNet of three classes, in the true layout."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lossbench import data
from lossbench.data import progress, streaming
from lossbench.errors import DataError, UsageError
from lossbench.spec import DataSpec, LossRef, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.trainer import Trainer

SPEC = DataSpec(name="imagenet", side=16, part=0.08, flip=True, normalize="imagenet")
CLASSES = ("n01440764", "n01443537", "n01484850")
PER_CLASS = 4


def photograph(seed: int, path: Path) -> None:
    """A smooth picture, 20 to 60 pixels wide and high."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8))
    coarse.resize(tuple(random.integers(20, 61, 2).tolist()), Image.Resampling.BICUBIC).save(path, "JPEG", quality=95)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(data.get("imagenet").read.keywords, "classes", len(CLASSES))
    for part, count in (("train", PER_CLASS), ("val", 2)):
        for place, name in enumerate(CLASSES):
            home = tmp_path / "imagenet" / part / name
            home.mkdir(parents=True)
            for number in range(count):
                photograph(100 * place + number, home / f"{name}_{number}.JPEG")
    return tmp_path


def epoch_of(dataset: data.Dataset, spec: DataSpec = SPEC, *, epoch: int = 0, batch_size: int = 5) -> torch.Tensor:
    parts = data.batches(dataset, spec, batch_size, seed=0, epoch=epoch, device="cpu")
    return torch.cat([inputs for inputs, _ in parts])


def test_rows_are_divided_as_ever_and_keep_their_labels(folder: Path) -> None:
    dataset = data.load(dataclasses.replace(SPEC, validation=0.25, limit=6), folder)
    assert (len(dataset.train), len(dataset.val or ()), len(dataset.test)) == (6, 3, 6)
    assert (dataset.shape, dataset.class_names) == ((3, 16, 16), CLASSES)
    names = dataset.pictures.names
    for split in (dataset.train, dataset.val, dataset.test):
        labels = [name.decode().split("/")[1] for name in names[split.inputs]]
        assert labels == [CLASSES[label] for label in split.target]
    assert all(name.startswith(b"val/") for name in names[dataset.test.inputs])


def test_evaluation_shows_the_middle_as_torchvision_does(folder: Path) -> None:
    spec = DataSpec(name="imagenet", side=16)
    dataset = data.load(spec, folder)
    seen = torch.cat([x for x, _ in data.evaluation_batches(dataset, "test", spec, device="cpu", batch_size=4)])
    theirs = v2.Compose([v2.Resize(18), v2.CenterCrop(16), v2.PILToTensor()])
    files = sorted((folder / "imagenet" / "val").rglob("*.JPEG"))
    expected = torch.stack([theirs(Image.open(file).convert("RGB")) for file in files]).float() / 255
    torch.testing.assert_close(seen, expected)


def test_what_is_seen_hangs_on_epoch_and_picture_not_on_the_batch(folder: Path) -> None:
    dataset = data.load(SPEC, folder)
    first = epoch_of(dataset)
    assert torch.equal(first, epoch_of(dataset))
    torch.testing.assert_close(first, epoch_of(dataset, batch_size=7))
    order = [data.permutation(len(dataset.train), seed=0, epoch=epoch).argsort() for epoch in (0, 1)]
    assert not torch.equal(first[order[0]], epoch_of(dataset, epoch=1)[order[1]])


def test_workers_read_what_one_thread_reads_also_after_an_epoch_was_left(folder: Path) -> None:
    expected = [epoch_of(data.load(SPEC, folder), epoch=epoch) for epoch in (0, 1)]
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        dataset = data.load(SPEC, folder)
        assert torch.equal(epoch_of(dataset), expected[0])
        assert dataset.pictures._loader.num_workers == 2
        next(iter(data.batches(dataset, SPEC, 2, seed=0, epoch=0, device="cpu")))
        assert torch.equal(epoch_of(dataset, epoch=1), expected[1])
    finally:
        torch.set_num_threads(threads)


def test_random_parts_are_spread_as_torchvision_spreads_them() -> None:
    width, height, count = 50, 40, 4000
    cut = streaming.Cut(area=0.08, seed=1, epoch=2)
    ours = np.array([streaming.box(width, height, cut, row) for row in range(count)])
    picture = torch.zeros(3, height, width)
    torch.manual_seed(3)
    drawn = [v2.RandomResizedCrop.make_params(v2.RandomResizedCrop(8), [picture]) for _ in range(count)]
    theirs = np.array([[d["left"], d["top"], d["left"] + d["width"], d["top"] + d["height"]] for d in drawn])
    assert ours.min() >= 0
    assert (ours.max(axis=0) <= (width, height, width, height)).all()
    for statistic in (np.mean, np.std):
        deviation = theirs.std(axis=0) / np.sqrt(count)
        assert (np.abs(statistic(ours, axis=0) - statistic(theirs, axis=0)) < 5 * deviation * np.sqrt(2)).all()


def test_a_part_of_a_narrow_picture_is_its_middle() -> None:
    # No part of all of the area with an aspect up to 4:3 fits into 100 x 10.
    assert streaming.box(100, 10, streaming.Cut(area=1.0, seed=0, epoch=0), 0) == (43, 0, 56, 10)


def test_the_list_of_files_is_kept_and_made_again_when_a_folder_changes(folder: Path) -> None:
    told: list[tuple[str, int, int | None]] = []

    def listen(*words: object) -> None:
        told.append(words)

    with progress.listening(listen):
        data.load(SPEC, folder)
        assert [done for what, done, _ in told if "train" in what] == [1, 2, 3]
        told.clear()
        data.load(SPEC, folder)
        assert not told
        photograph(7, folder / "imagenet" / "train" / CLASSES[0] / "one_more.JPEG")
        assert len(data.load(SPEC, folder).train) == 3 * PER_CLASS + 1


def test_a_network_learns_from_streamed_pictures(folder: Path) -> None:
    preset = Preset(
        name="streamed",
        data=SPEC,
        model=ModelSpec(name="resnet20-cifar"),
        epochs=2,
        batch_size=4,
        optimizer=OptimizerSpec(name="sgd", lr=0.01),
    )
    spec = RunSpec(preset=preset, loss=LossRef("ce"), seed=0, numbers_version=1)
    records = [list(Trainer(spec, data.load(SPEC, folder), device="cpu").epochs()) for _ in range(2)]
    values = [[dict(record[0].values) for record in run] for run in records]
    assert len(values[0]) == 2
    assert all(0 < each["train/data_stall"] < 1 for each in values[0])
    for name in ("train/objective", "test/nll"):
        assert [each[name] for each in values[0]] == [each[name] for each in values[1]]


def emptied(folder: Path) -> None:
    for file in (folder / "imagenet" / "val" / CLASSES[1]).iterdir():
        file.unlink()


def spoilt(folder: Path) -> None:
    (folder / "imagenet" / "train" / CLASSES[2] / f"{CLASSES[2]}_0.JPEG").write_bytes(b"text")


def renamed(folder: Path) -> None:
    (folder / "imagenet" / "val" / CLASSES[1]).rename(folder / "imagenet" / "val" / "n09999999")


def removed(folder: Path) -> None:
    (folder / "imagenet" / "train").rename(folder / "imagenet" / "elsewhere")


def fewer(folder: Path) -> None:
    emptied(folder)
    (folder / "imagenet" / "val" / CLASSES[1]).rmdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (emptied, "n01443537 holds no pictures"),
        (renamed, "folders of different classes"),
        (removed, "train is missing; unpack ILSVRC2012"),
        (fewer, "folders of 2 classes, expected 3"),
        (spoilt, "n01484850_0.JPEG is not a picture"),
    ],
)
def test_another_folder_is_refused_in_one_line(change: Callable[[Path], None], message: str, folder: Path) -> None:
    change(folder)
    with pytest.raises(DataError, match=message) as caught:
        epoch_of(data.load(SPEC, folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "imagenet", "normalize": "channel"}, "needs every pixel at once"),
        ({"name": "digits-images", "test": 0.2, "part": 0.5}, "all rows of digits-images have one size"),
    ],
)
def test_a_recipe_that_does_not_go_with_the_set_is_refused(fields: dict, message: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=message):
        data.load(DataSpec(**fields), folder)
