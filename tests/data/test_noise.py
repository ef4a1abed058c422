"""Label noise and thinned-out classes: exact counts, the streams they come from, and what is refused."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from lossbench import data
from lossbench.data.noise import corrupt, record
from lossbench.data.splits import long_tail
from lossbench.errors import DataError, UsageError
from lossbench.spec import DataSpec

CLASSES, ROWS = 5, 20_003
TARGET = torch.arange(ROWS) % CLASSES
NOWHERE = Path("/nonexistent")


def noisy(**fields) -> torch.Tensor:
    spec = DataSpec(name="x", **fields)
    return corrupt(TARGET, spec, classes=CLASSES, mistaken_for=(1, 0, 2, 4, 4))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_symmetric_noise_changes_exactly_its_share_of_rows_to_any_other_class(rate):
    labels = noisy(noise=rate)
    changed = labels != TARGET
    assert changed.sum() == int(rate * ROWS)
    steps = (labels - TARGET)[changed] % CLASSES
    assert chisquare(torch.bincount(steps, minlength=CLASSES)[1:]).pvalue > 1e-3


def test_inclusive_noise_draws_from_all_classes_and_so_realises_less():
    share = (noisy(noise=0.5, noise_kind="sym-incl") != TARGET).double().mean().item()
    assert share == pytest.approx(0.5 * (CLASSES - 1) / CLASSES, abs=0.01)


def test_asymmetric_noise_moves_its_share_of_each_class_to_the_one_it_is_mistaken_for():
    spec = DataSpec(name="any", noise=0.3, noise_kind="asym")
    made = record(spec, TARGET, noisy(noise=0.3, noise_kind="asym"), CLASSES)
    sizes = torch.bincount(TARGET).tolist()
    moved = [int(0.3 * size) for size in sizes]
    expected = torch.diag(torch.tensor(sizes))
    for label, other in ((0, 1), (1, 0), (3, 4)):
        expected[label, label] -= moved[label]
        expected[label, other] += moved[label]
    assert torch.equal(torch.tensor(made.transitions), expected)
    assert made.realised == pytest.approx(sum(moved[label] for label in (0, 1, 3)) / ROWS)


def test_the_noise_seed_alone_decides_and_the_record_tells_labels_apart():
    specs = [DataSpec(name="any", noise=0.2, noise_seed=seed) for seed in (0, 0, 1)]
    digests = [record(spec, TARGET, noisy(noise=0.2, noise_seed=spec.noise_seed), CLASSES).sha256 for spec in specs]
    assert digests[0] == digests[1] != digests[2]


def test_noise_spoils_training_rows_only_and_leaves_the_splits_as_they_are():
    clean, spoilt = (
        data.load(DataSpec(name="digits", test=0.2, validation=0.1, noise=rate), NOWHERE) for rate in (0, 0.4)
    )
    assert torch.equal(clean.train.inputs, spoilt.train.inputs)
    assert torch.equal(clean.val.target, spoilt.val.target)
    assert torch.equal(clean.test.target, spoilt.test.target)
    assert clean.noise is None
    assert (spoilt.noise.kind, spoilt.noise.asked, spoilt.noise.seed) == ("sym", 0.4, 0)
    assert spoilt.noise.sha256 == hashlib.sha256(spoilt.train.target.numpy().astype("<i8").tobytes()).hexdigest()
    assert spoilt.noise.realised == pytest.approx(0.4, abs=1 / len(clean.train))


@pytest.mark.parametrize(("factor", "total", "smallest"), [(100, 10_847, 5), (50, 12_608, 10), (10, 19_573, 50)])
def test_a_long_tail_has_the_published_sizes(factor, total, smallest):
    target = (torch.arange(50_000) * 7919) % 100  # CIFAR-100: 500 of each
    rows = long_tail(target, factor, classes=100, seed=0)
    sizes = torch.bincount(target[rows], minlength=100)
    assert (len(rows), sizes[0], sizes[-1]) == (total, 500, smallest)
    assert (sizes.diff() <= 0).all()


def test_a_subset_of_classes_is_numbered_in_its_own_order():
    whole = data.load(DataSpec(name="synthetic"), NOWHERE)
    part = data.load(DataSpec(name="synthetic", classes=(3, 1)), NOWHERE)
    assert (part.classes, part.class_names) == (2, ("class 3", "class 1"))
    assert torch.equal(part.train.inputs[part.train.target == 0], whole.train.inputs[whole.train.target == 3])
    assert torch.equal(part.test.inputs[part.test.target == 1], whole.test.inputs[whole.test.target == 1])


@pytest.fixture
def cifar10(tmp_path):
    """A data folder with a small CIFAR-10 and the labels that people gave it."""
    labels = np.arange(20) % 10
    (tmp_path / "cifar10").mkdir()
    for split in ("train", "test"):
        np.savez(tmp_path / "cifar10" / f"{split}.npz", images=np.zeros((20, 32, 32, 3), np.uint8), labels=labels)
    (tmp_path / "cifarn").mkdir()
    np.savez(tmp_path / "cifarn" / "cifar10n_labels.npz", clean_label=labels, worse_label=(labels + (labels == 3)) % 10)
    return tmp_path


def test_human_labels_replace_those_of_the_training_rows(cifar10):
    dataset = data.load(DataSpec(name="cifar10", validation=0.5, human_labels="worse_label"), cifar10)
    assert dataset.train.target.tolist().count(3) == 0
    assert dataset.val.target.tolist().count(3) == 1
    assert dataset.noise.realised == pytest.approx(0.1)


def test_human_labels_of_other_images_are_refused(cifar10):
    np.savez(cifar10 / "cifarn" / "cifar10n_labels.npz", clean_label=np.zeros(20, int), worse_label=np.zeros(20, int))
    with pytest.raises(DataError, match="does not belong to these images"):
        data.load(DataSpec(name="cifar10", human_labels="worse_label"), cifar10)


def test_asymmetric_noise_of_cifar10_follows_the_published_pairs(cifar10):
    dataset = data.load(DataSpec(name="cifar10", noise=0.4, noise_kind="asym"), cifar10)
    assert dataset.noise.realised == 0  # two rows of a class, of which 40 % is none
    pairs = data.get("cifar10").read(cifar10).mistaken_for
    moved = {label: other for label, other in enumerate(pairs) if label != other}
    assert moved == {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "synthetic", "noise": 0.2, "noise_kind": "asym"}, "not defined for synthetic"),
        ({"name": "cifar10", "noise": 0.5, "noise_kind": "asym"}, "goes up to 0.4, got 0.5"),
        ({"name": "synthetic", "human_labels": "worse"}, "no human labels for synthetic"),
        ({"name": "cifar10", "human_labels": "worst"}, "holds no labels named 'worst'"),
        ({"name": "cifar10", "human_labels": "worse_label", "noise": 0.1}, "exclude each other"),
        ({"name": "synthetic", "classes": (1,)}, "at least two different classes from 0 to 3"),
        ({"name": "synthetic", "classes": (1, 4)}, "at least two different classes from 0 to 3"),
        ({"name": "cifar10", "classes": (1, 2), "human_labels": "worse_label"}, "goes with neither"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(fields, message, cifar10):
    with pytest.raises(UsageError, match=message) as caught:
        data.load(DataSpec(**fields), cifar10)
    assert "\n" not in str(caught.value)


def test_missing_human_labels_say_where_they_are_looked_for(cifar10):
    (cifar10 / "cifarn" / "cifar10n_labels.npz").unlink()
    with pytest.raises(DataError, match=r"cifarn/cifar10n_labels\.npz is missing; .*noisylabels"):
        data.load(DataSpec(name="cifar10", human_labels="worse_label"), cifar10)


def test_people_disagree_with_two_fifths_of_the_real_labels(real_data):
    folder = real_data("cifar100")
    real_data("cifarn")
    human = data.load(DataSpec(name="cifar100", human_labels="noisy_label"), folder)
    assert human.noise.realised == pytest.approx(0.4020, abs=5e-5)
    kinds = data.get("cifar100").read(folder).mistaken_for
    names = human.class_names
    assert names[kinds[names.index("beaver")]] == "dolphin"  # aquatic mammals: beaver, dolphin, otter, seal, whale
    assert names[kinds[names.index("whale")]] == "beaver"
