"""Loading: what every data set promises, how rows are divided, and what is refused."""

from pathlib import Path

import pytest
import torch

from lossbench import data
from lossbench.data.splits import proportional
from lossbench.errors import UsageError
from lossbench.spec import DataSpec

NOWHERE = Path("/nonexistent")
READY = [source.name for source in data.catalogue() if not source.layout]


def recipe(name: str, **fields) -> DataSpec:
    """A recipe that suits the data set."""
    normalize = "feature" if data.get(name).kind == "features" else "channel"
    test = 0.0 if data.get(name).has_test else 0.25
    return DataSpec(**{"name": name, "normalize": normalize, "test": test, "validation": 0.2, **fields})


@pytest.mark.parametrize("name", READY)
def test_a_data_set_is_what_its_entry_says(name):
    source = data.get(name)
    dataset = data.load(recipe(name), NOWHERE)
    parts = (dataset.train, dataset.val, dataset.test)
    assert sum(map(len, parts)) == source.rows
    assert dataset.shape == source.shape
    assert source.test_rows in (0, len(dataset.test))
    assert len(dataset.class_names) == dataset.classes == source.classes
    for part in parts:
        assert part.inputs.dtype == (torch.float32 if source.kind == "features" else torch.uint8)
        assert part.inputs.shape == (len(part), *dataset.shape)
        assert part.target.dtype == torch.int64
        assert part.target.unique().tolist() == list(range(source.classes))


@pytest.mark.parametrize("name", READY)
def test_loading_twice_gives_the_same_rows_and_another_split_seed_others(name):
    one, same, other = (data.load(recipe(name, split_seed=seed), NOWHERE) for seed in (0, 0, 1))
    assert torch.equal(one.train.inputs, same.train.inputs)
    assert torch.equal(one.val.inputs, same.val.inputs)
    assert len(one.val) == len(other.val)
    assert not torch.equal(one.val.inputs, other.val.inputs)


@pytest.mark.parametrize("name", [name for name in READY if data.get(name).kind == "features"])
def test_training_features_have_mean_zero_and_deviation_one_unless_constant(name):
    train = data.load(recipe(name), NOWHERE).train.inputs.double()
    deviation = train.std(dim=0, correction=0)
    varies = deviation > 1e-3
    assert train.mean(dim=0).abs().max() < 1e-5
    torch.testing.assert_close(deviation[varies], torch.ones_like(deviation[varies]), atol=1e-4, rtol=0)


def test_the_splits_share_no_row():
    raw = data.get("digits-images").read(NOWHERE).train.inputs
    dataset = data.load(recipe("digits-images"), NOWHERE)
    parts = torch.cat([dataset.train.inputs, dataset.val.inputs, dataset.test.inputs])
    assert sorted(map(bytes, parts.numpy())) == sorted(map(bytes, raw.numpy()))


def test_digits_as_features_and_as_images_are_the_same_rows():
    features = data.load(DataSpec(name="digits", test=0.2, validation=0.1), NOWHERE)
    images = data.load(DataSpec(name="digits-images", test=0.2, validation=0.1), NOWHERE)
    assert torch.equal(features.test.inputs * 15, images.test.inputs.flatten(1).float())


@pytest.mark.parametrize("count", [0, 1, 7, 50, 99, 100])
def test_a_proportional_draw_gives_every_class_its_share(count):
    target = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)[torch.randperm(100)]
    rows = proportional(target, count, classes=3, seed=0, purpose="test")
    assert len(rows.unique()) == count
    sizes = torch.bincount(target[rows], minlength=3)
    assert (sizes - torch.tensor([0.6, 0.3, 0.1]) * count).abs().max() < 1


def test_a_limit_keeps_classes_in_proportion_and_the_other_splits_as_they_are():
    whole, small = (data.load(recipe("digits", limit=limit), NOWHERE) for limit in (None, 100))
    assert len(small.train) == 100
    assert torch.bincount(small.train.target).tolist() == [10] * 10
    assert torch.equal(whole.test.target, small.test.target)
    assert torch.equal(whole.val.target, small.val.target)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "digitz"}, "did you mean 'digits'"),
        ({"name": "digits"}, "without a test split"),
        ({"name": "synthetic", "test": 0.1}, "published with a test split"),
        ({"name": "synthetic", "normalize": "channel"}, "use feature or none"),
        ({"name": "synthetic-images", "normalize": "feature"}, "use channel, pixel-mean, imagenet or none"),
        ({"name": "synthetic", "flip": True}, "need images"),
        ({"name": "synthetic-images", "normalize": "pixel-mean", "jitter": 0.1}, "jitter needs colours"),
        ({"name": "digits-images", "test": 0.1, "jitter": 0.1}, "digits-images is grey"),
        ({"name": "digits-images", "test": 0.1, "normalize": "imagenet"}, "needs colour images"),
        ({"name": "synthetic", "limit": 301}, "has 300 training rows"),
        ({"name": "iris", "test": 0.999}, "no training rows"),
    ],
)
def test_a_recipe_the_data_cannot_follow_is_refused_in_one_line(fields, message):
    with pytest.raises(UsageError, match=message) as caught:
        data.load(DataSpec(**fields), NOWHERE)
    assert "\n" not in str(caught.value)


def test_the_data_folder_is_the_named_one_else_the_variable_else_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    assert data.data_folder() == tmp_path / "cache" / "lossbench"
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "variable"))
    assert data.data_folder() == tmp_path / "variable"
    assert data.data_folder(str(tmp_path / "named")) == tmp_path / "named"
