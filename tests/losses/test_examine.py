"""What is said of a loss before any training, and which known loss it turns out to be."""

import hashlib
import math

import pytest

from lossbench import losses, presets
from lossbench.errors import UsageError
from lossbench.spec import RunSpec

OWN = '''
"""Losses of somebody's own."""

import torch
from torch.nn.functional import cross_entropy, one_hot


def naive(logits, target, *, gamma=1.0):
    p = logits.softmax(-1).gather(-1, target[:, None]).squeeze(-1)
    return -((1 - p) ** gamma) * p.log()


def sound(logits, target, *, weight=3.0, double: bool = False):
    return weight * (1 + double) * cross_entropy(logits, target, reduction="none")


def held(logits, target):
    p = logits.log_softmax(-1).gather(-1, target[:, None]).squeeze(-1)
    return -(1 - p.exp()).detach() * p


def coupled(logits, target):
    losses = cross_entropy(logits, target, reduction="none")
    return losses + losses.mean()


def ordinal(logits, target):
    places = torch.arange(logits.shape[-1], dtype=logits.dtype)
    return ((logits.softmax(-1) * places).sum(-1) - target) ** 2


def scalar(logits, target):
    return cross_entropy(logits, target)


def two_only(logits, target):
    return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 7]


def nothing(logits, target):
    return None


def nan(logits, target):
    return logits[:, 0] * float("nan")


def no_default(logits, target, *, gamma):
    return logits[:, 0]


def umlaut(logits, target, *, größe=1.0):
    return logits[:, 0] * größe


def only_logits(logits):
    return logits[:, 0]
'''


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return lambda name: f"{path}:{name}"


def finding(report, name):
    (found,) = [each for each in report.findings if each.name == name]
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("adaptive", ["focal:gamma=1"]),
        ("focal:gamma=1", ["adaptive"]),
        ("ce-el:focus=0.3", ["poly1:epsilon=2.5", "ce-el:alpha=1,beta=2.5"]),
        ("mix-ent", ["sce:A=-1,alpha=1,beta=13.815510558"]),
        ("poly1:epsilon=5", ["ce-el:focus=0.4"]),
        ("mae", ["rce:A=-2"]),
        ("gce:q=1", ["expectation", "phuber-ce:tau=1"]),
        ("confidence-penalty", ["min-ent:beta2=-0.1"]),
        ("bce", ["ml-bce"]),
        ("inverse-focal:gamma=0", ["ce"]),
    ],
)
def test_losses_that_go_by_several_names_are_recognised(text, names):
    equals = losses.examine(text).equals
    assert set(names) <= set(equals)
    assert text not in equals


def test_a_loss_like_no_other_is_left_alone():
    assert losses.examine("brier").equals == ()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ce", "proper"),
        ("brier", "proper"),
        ("phuber-ce", "proper"),
        ("adaptive", "under-confident"),
        ("confidence-penalty", "under-confident"),
        ("poly1:epsilon=1", "over-confident"),
        ("gce", "over-confident"),
        ("mae", "certainty"),
    ],
)
def test_whether_probabilities_can_be_believed(text, word):
    assert word in finding(losses.examine(text), "probabilities").text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adaptive", (0.557, 0.617, 0.686, 0.774)),
        ("focal", (0.538, 0.579, 0.627, 0.694)),
        ("ce-el:focus=0.4", (0.775, 0.892, 0.948, 0.980)),
        ("min-ent:beta2=0.3", (0.640, 0.764, 0.865, 0.945)),
        ("tce", (0.639, 0.764, 0.867, 0.945)),
        ("js", (0.663, 0.817, 0.942, 0.998)),
    ],
)
def test_minimisers_of_the_expected_loss(text, expected):
    report = losses.examine(text)
    assert [p for _, p in report.minimisers] == pytest.approx(expected, abs=6e-4)


def test_tolerance_of_label_noise():
    assert "sums to 8 over 5 labels" in finding(losses.examine("mae"), "label noise").text
    assert "no constant sum" in finding(losses.examine("ce"), "label noise").text


def test_the_gradient_weight_of_the_adaptive_loss():
    report = losses.examine("adaptive")
    text = finding(report, "gradient weight").text
    assert "largest 1.14 at 0.135" in text
    assert "peaks at 0.043" in text
    assert "area 0.944 of ce's" in text
    assert (
        losses.describe_weight(losses.weight_curve("ce")) == "1 at every p; |dL/dq_y| peaks towards 0; area 1 of ce's"
    )
    at_half = next(row for row in report.curve if math.isclose(row[0], 0.5))
    assert at_half[1:] == pytest.approx((math.log(2) / 2, 0.5 + math.log(2) / 2))
    assert [losses.weight_curve(text) for text in ("brier", "cb-ce", "bce", "label-smoothing")] == [()] * 4


@pytest.mark.parametrize("entry", losses.catalogue(), ids=lambda entry: entry.name)
def test_every_catalogue_loss_passes(entry):
    if len(entry.steps) > 1:
        pytest.skip("only losses of one step are examined")
    report = losses.examine(entry.name)
    assert report.passed, report.findings
    assert report.curve or entry.curve is None


def test_a_naive_loss_fails_where_it_saturates(own):
    report = losses.examine(own("naive"))
    assert not report.passed
    assert not finding(report, "finite at extreme logits").passed
    assert "adaptive" in report.equals


def test_a_sound_loss_passes_with_its_knobs(own):
    report = losses.examine(own("sound:weight=2,double=true"))
    assert report.passed
    assert "ce-el:alpha=4,beta=0" in report.equals


def test_a_detached_factor_shows(own):
    report = losses.examine(own("held"))
    assert "held constant" in finding(report, "gradient in float64").text
    assert "adaptive:detach=true" in report.equals
    assert "adaptive in its values, not in its gradients" in report.equals


def test_coupled_samples_and_ordered_classes_show(own):
    assert "coupled" in finding(losses.examine(own("coupled")), "samples").text
    assert finding(losses.examine(own("ordinal")), "order of classes").text == "changes the loss"
    assert finding(losses.examine("bce"), "shift of all logits").text == "changes the loss"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("scalar", "returns shape [] for 16 samples"),
        ("nothing", "returns NoneType"),
        ("nan", "not finite on ordinary logits"),
        ("two_only", "raises IndexError at 4 classes"),
    ],
)
def test_what_is_no_loss_ends_the_examination(own, name, part):
    report = losses.examine(own(name))
    assert not report.passed
    assert [part in each.text for each in report.findings] == [True]


def test_several_steps_are_not_examined():
    with pytest.raises(UsageError, match="several steps"):
        losses.examine("cot")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("scalar", "expected one number per sample"),
        ("nothing", "got NoneType"),
        ("nan", "not finite on ordinary logits"),
        ("missing", "there is no function missing; found: coupled, held"),
        ("no_default", "knob gamma needs a number, true or false as its default"),
        ("umlaut", "knob größe has to be named by at most 100 letters of ASCII"),
        ("only_logits", "expected a function (logits, target, *, knobs), got 1 positional"),
        ("naive:gama=2", "did you mean 'gamma'?"),
    ],
)
def test_a_run_refuses_what_is_no_loss(own, name, part):
    with pytest.raises(UsageError) as caught:
        losses.resolve(own(name))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reference_carries_its_source_and_outlives_the_file(own, tmp_path):
    path = tmp_path / "own.py"
    ref = losses.resolve(own("sound"))
    spec = RunSpec(preset=presets.load("iris-linear"), loss=ref, seed=0, numbers_version=1)
    assert spec.resolved()["loss"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(OWN.replace("weight=3.0", "weight=4.0"), encoding="utf-8")
    edited = losses.resolve(own("sound"))
    assert ref.code == OWN
    assert ref != edited
    assert str(ref) != str(edited)
    path.unlink()
    assert losses.sources(ref)[1]["weight"].value == 3.0
    assert losses.sources(edited)[1]["weight"].value == 4.0


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("def f(:", "the file does not import: SyntaxError"),
        ("import not_installed_anywhere", "the file does not import: ModuleNotFoundError"),
        ("1 / 0", "the file does not import: ZeroDivisionError"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_that_does_not_import(tmp_path, code, part):
    path = tmp_path / "broken.py"
    path.write_bytes(code if isinstance(code, bytes) else code.encode())
    with pytest.raises(UsageError) as caught:
        losses.resolve(f"{path}:f")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("./not_there.py:f", "cannot read not_there.py: No such file"),
        ("./my_loss.txt:f", "./my_loss.txt is no Python file"),
        ("not_installed_anywhere:f", "no module 'not_installed_anywhere' is installed"),
        ("math:sqrt", "no Python source"),
        ("./own.py:", "not of the form"),
    ],
)
def test_a_loss_that_is_nowhere(text, part):
    with pytest.raises(UsageError) as caught:
        losses.resolve(text)
    assert part in str(caught.value)


def test_an_installed_function_is_a_loss(tmp_path, monkeypatch):
    package = tmp_path / "somebodys_losses"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "tools.py").write_text("FACTOR = 2.0\n", encoding="utf-8")
    source = "from .tools import FACTOR\n\n\ndef mine(logits, target):\n    return FACTOR * logits.logsumexp(-1)\n"
    (package / "parts.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    ref = losses.resolve("somebodys_losses.parts:mine")
    assert ref.code == source
    assert losses.examine("somebodys_losses.parts:mine").passed
