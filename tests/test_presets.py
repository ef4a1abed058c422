"""Presets: every file is whole, sourced and runnable; overrides and mistakes."""

import re
from pathlib import Path

import pytest

from lossbench import data, models, presets
from lossbench.costs import estimate
from lossbench.data._uci121 import SIZES
from lossbench.errors import UsageError
from lossbench.spec import RunSpec, parse_loss

FILES = sorted(presets.folder().glob("**/*.toml"))
# One member speaks for its family where the members differ in a word.
EXAMPLES = {path: name for name, path in presets.available().items()}


@pytest.mark.parametrize("name", EXAMPLES.values())
def test_a_presets_model_fits_its_data(name):
    preset = presets.load(name)
    assert estimate(preset).weights > 0  # builds the model and takes one batch of the data's shape forth and back
    assert preset.title
    assert preset.name == name


@pytest.mark.parametrize(
    "name", [name for name in EXAMPLES.values() if not data.get(presets.load(name).data.name).layout]
)
def test_a_preset_without_download_can_be_loaded(name):
    preset = presets.load(name)
    dataset = data.load(preset.data, Path("/nonexistent"))
    assert dataset.shape == data.get(preset.data.name).shape
    assert len(dataset.val) > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_number_of_a_preset_says_where_it_comes_from(path):
    for line in path.read_text().splitlines():
        if re.match(r"\w+\s*=\s*(\[?[\d.]|true|false)", line):
            assert "#" in line, line


def test_every_named_preset_loads_and_names_what_exists():
    for name in presets.available():
        preset = presets.load(name)
        assert preset.name == name
        assert "{" not in repr(preset)
        models.get(preset.model.name)
        data.get(preset.data.name)


def test_there_is_a_linear_and_a_hidden_network_for_each_uci_set():
    expected = {f"uci-{name}-{model}" for name in SIZES for model in ("linear", "hidden")}
    assert {name for name in presets.available() if name.startswith("uci-")} == expected
    assert len(SIZES) == 121


def test_a_family_member_is_described_as_if_it_were_a_file_of_its_own(tmp_path):
    (tmp_path / "uci-iris-hidden.toml").write_text(presets.describe("uci-iris-hidden"))
    assert presets.load(str(tmp_path / "uci-iris-hidden.toml")) == presets.load("uci-iris-hidden")
    assert "our choice" in presets.describe("uci-iris-hidden")
    assert presets.load("uci-iris-hidden", ["data.fold=2"]).data.fold == 2


def test_cifar100_resnet18_is_the_recipe_of_the_paper():
    preset = presets.load("cifar100-resnet18")
    optimizer = preset.optimizer
    assert (preset.epochs, preset.batch_size) == (200, 100)
    assert (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.1, 0.9, 5e-4)
    assert (optimizer.schedule, optimizer.nesterov) == ("step(50,0.1)", False)
    assert (preset.data.flip, preset.data.crop_padding, preset.data.normalize) == (True, 4, "pixel-mean")
    assert (preset.metric.name, preset.metric.at) == ("top5_err", "mean:190-200")
    assert {each.loss: each.value for each in preset.published} == {"ce": 0.067, "adaptive": 0.062}


def test_overrides_change_fields_and_with_them_the_key():
    def key(*overrides: str) -> str:
        preset = presets.load("digits-mlp", overrides)
        return RunSpec(preset=preset, loss=parse_loss("ce"), seed=0, numbers_version=1).key

    preset = presets.load("digits-mlp", ["epochs=2", "optimizer.lr=0.005", "model.hidden=[32,16]", "data.limit=100"])
    assert (preset.epochs, preset.optimizer.lr, preset.model.hidden, preset.data.limit) == (2, 0.005, (32, 16), 100)
    assert key() == key("epochs=30") == key("title=another title")
    assert len({key(), key("epochs=31"), key("optimizer.lr=0.06"), key("data.split_seed=1")}) == 4


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (["epoch=2"], ["unknown field epoch; did you mean epochs?"]),
        (["optimizer.momentun=0.5"], ["did you mean optimizer.momentum?"]),
        (["epochs=0"], ["epochs", "greater than or equal to 1"]),
        (["batch_size=-1"], ["batch_size"]),
        (["optimizer.lr=nan"], ["optimizer.lr"]),
        (["epochs=many"], ["epochs", "'many'"]),
        (["epochs.first=1"], ["'epochs' is a value, not a table"]),
        (["metric.name=top1_ac"], ["did you mean 'top1_acc'"]),
        (["optimizer.momentum=0", "optimizer.nesterov=true"], ["needs optimizer.momentum"]),
        (["optimizer.name=adam", "optimizer.momentum=0.9"], ["an option of sgd, not of adam"]),
        (["optimizer.schedule=0-1/40"], ["at least 40 epochs"]),
        (["epochs=0", "optimizer.lr=-1", "optimizer.nam=sgd"], ["has 3 mistakes", "epochs", "optimizer.lr", "nam"]),
        (["epochs"], ["not of the form field=value"]),
    ],
)
def test_wrong_overrides_are_refused_by_name_and_all_at_once(overrides, messages):
    with pytest.raises(UsageError) as caught:
        presets.load("digits-mlp", overrides)
    for message in messages:
        assert message in str(caught.value)


def test_a_preset_of_ones_own_is_a_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(presets.describe("digits-mlp").replace("epochs = 30", "epochs = 3"))
    preset = presets.load(str(path))
    assert (preset.name, preset.epochs) == ("mine", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs = = 3", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"epochs = 3", "has 4 mistakes"),
        (b'data = "digits"\nmodel = 3\nepochs = 1\nbatch_size = 1\noptimizer = 1', "has 3 mistakes"),
    ],
)
def test_a_damaged_preset_file_is_refused(content, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        presets.load(str(path))


def test_unknown_presets_get_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'digits-mlp'"):
        presets.load("digit-mlp")
    with pytest.raises(UsageError, match=r"there is no preset file \./nothing\.toml"):
        presets.load("./nothing.toml")
