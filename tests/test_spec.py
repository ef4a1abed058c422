"""Specs: two identities that never move, and a grammar for losses."""

import dataclasses
import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench import presets
from lossbench.errors import UsageError
from lossbench.spec import (
    NUMBERS_VERSION,
    DataSpec,
    LossRef,
    MetricRule,
    ModelSpec,
    OptimizerSpec,
    Preset,
    RunSpec,
    differing_fields,
    parse_assignment,
    parse_loss,
)

PRESET = Preset(
    name="toy",
    data=DataSpec(name="digits", validation=0.1),
    model=ModelSpec(name="mlp", hidden=(64, 32)),
    epochs=20,
    batch_size=32,
    optimizer=OptimizerSpec(name="sgd", lr=0.1, momentum=0.9),
)
SPEC = RunSpec(preset=PRESET, loss=parse_loss("focal:gamma=3"), seed=7, numbers_version=1)

# A key that moves orphans every stored run with that spec: these may only ever be added to.
GOLDEN = {
    "the spec above": (SPEC, "b89323015871", "1db087e4460f"),
    "another seed": (dataclasses.replace(SPEC, seed=8), "6c07fd773745", "1db087e4460f"),
    "another loss": (dataclasses.replace(SPEC, loss=parse_loss("ce")), "47d33f5b6ea8", "1db087e4460f"),
    "another meaning": (dataclasses.replace(SPEC, numbers_version=2), "8e202371b784", "5b0651759d4e"),
    "own code": (
        dataclasses.replace(SPEC, loss=LossRef("mine", (), "def mine(): ...")),
        "921cb1fc90a9",
        "1db087e4460f",
    ),
    "no defaults": (
        dataclasses.replace(
            SPEC,
            preset=dataclasses.replace(
                PRESET,
                data=DataSpec(name="cifar100", limit=100, split_seed=3, normalize="channel", flip=True, crop_padding=4),
                model=ModelSpec(name="resnet18", dropout=0.5),
                optimizer=OptimizerSpec(
                    name="adamw", lr=1e-3, weight_decay=5e-4, nesterov=True, schedule="step(50,0.1)"
                ),
                precision="bf16",
                channels_last=True,
            ),
        ),
        "a0b4d8c07cf4",
        "7eee82742c37",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_keys_are_what_they_have_always_been(name: str) -> None:
    spec, key, recipe = GOLDEN[name]
    assert (spec.key, spec.recipe) == (key, recipe)


def test_a_key_is_the_same_in_another_process_with_other_hashing() -> None:
    code = (
        "from lossbench import presets; from lossbench.spec import *;"
        "p = presets.load('digits-mlp');"
        "print(RunSpec(preset=p, loss=parse_loss('ce'), seed=0, numbers_version=1).key)"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    here = RunSpec(preset=presets.load("digits-mlp"), loss=parse_loss("ce"), seed=0, numbers_version=1)
    assert keys == {here.key + "\n"}


def test_documentation_changes_no_number_and_no_key() -> None:
    documented = dataclasses.replace(
        PRESET, title="other words", cites=("2507.10574",), metric=MetricRule(name="nll", at="mean:1-2")
    )
    assert dataclasses.replace(SPEC, preset=documented).key == SPEC.key


def test_every_other_field_changes_the_key() -> None:
    changed = {
        "data": DataSpec(name="digits", validation=0.2),
        "model": ModelSpec(name="mlp", hidden=(64,)),
        "epochs": 21,
        "batch_size": 33,
        "optimizer": OptimizerSpec(name="sgd", lr=0.2, momentum=0.9),
        "precision": "bf16",
        "channels_last": True,
        "compile": "on",
        "name": "toy2",
    }
    undocumented = {entry.name for entry in dataclasses.fields(Preset) if not entry.metadata.get("documentation")}
    assert undocumented == changed.keys()
    specs = [
        dataclasses.replace(SPEC, preset=dataclasses.replace(PRESET, **{field: value}))
        for field, value in changed.items()
    ]
    assert len({SPEC.key, *(spec.key for spec in specs)}) == len(changed) + 1
    assert len({SPEC.recipe, *(spec.recipe for spec in specs)}) == len(changed) + 1


def test_a_spec_is_hashable_picklable_and_plain_json_when_resolved() -> None:
    assert pickle.loads(pickle.dumps(SPEC)) == SPEC
    assert len({SPEC, dataclasses.replace(SPEC)}) == 1
    resolved = SPEC.resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    assert resolved["loss"]["text"] == "focal:gamma=3"
    assert resolved["preset"]["optimizer"]["momentum"] == 0.9
    assert SPEC.numbers_version <= NUMBERS_VERSION


def test_differing_fields_are_named_by_their_path() -> None:
    other = dataclasses.replace(
        SPEC, seed=8, preset=dataclasses.replace(PRESET, optimizer=OptimizerSpec(name="adam", lr=0.1, momentum=0.9))
    )
    assert differing_fields(SPEC.resolved(), other.resolved()) == ["preset.optimizer.name", "seed"]
    assert differing_fields(SPEC.resolved(), SPEC.resolved()) == []
    assert differing_fields({"a": 1}, {}) == ["a"]


@pytest.mark.parametrize(
    ("text", "name", "knobs"),
    [
        ("ce", "ce", ()),
        (" focal:gamma=3 ", "focal", (("gamma", "3"),)),
        ("sce:beta=1,alpha=0.1", "sce", (("alpha", "0.1"), ("beta", "1"))),
        ("ce-el:focus=0,0.5", "ce-el", (("focus", "0,0.5"),)),
        ("ce-el:focus=0,0.5@90,weight=2", "ce-el", (("focus", "0,0.5@90"), ("weight", "2"))),
        ("min-ent:base=fixed(2.718)", "min-ent", (("base", "fixed(2.718)"),)),
        ("./my_loss.py:mine", "./my_loss.py:mine", ()),
        ("./my_loss.py:mine:gamma=2", "./my_loss.py:mine", (("gamma", "2"),)),
    ],
)
def test_a_loss_is_a_name_and_knobs(text: str, name: str, knobs: tuple[tuple[str, str], ...]) -> None:
    assert parse_loss(text) == LossRef(name, knobs)


@pytest.mark.parametrize("text", ["", "   ", "focal:gamma=", "focal:gamma=1,gamma=2", "focal:gamma=1,beta="])
def test_what_is_no_loss_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_loss(text)
    assert "\n" not in str(caught.value)


NAMES = st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True)
VALUES = st.from_regex(r"[0-9a-z.@~-]{1,6}(\([0-9.~,-]{1,6}\))?(,[0-9.]{1,3})?", fullmatch=True)


@given(NAMES, st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), VALUES, max_size=3))
def test_the_text_of_a_loss_reads_back_as_the_loss(name: str, knobs: dict[str, str]) -> None:
    loss = LossRef(name, tuple(sorted(knobs.items())))
    assert parse_loss(str(loss)) == loss


@pytest.mark.parametrize("text", ["", "=", "=1", "lr", " =2"])
def test_an_assignment_needs_a_field_and_an_equals_sign(text: str) -> None:
    with pytest.raises(UsageError, match="field=value"):
        parse_assignment(text)
