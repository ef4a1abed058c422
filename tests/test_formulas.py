"""The formulas that charts are drawn by, against the kernels that losses are trained with."""

import numpy as np
import pytest
import torch

from lossbench import formulas, losses
from lossbench.errors import UsageError
from lossbench.knobs import Fixed, FromData, Interval, Scheduled, Whole, Words, settled

P = np.linspace(0.0051, 0.9949, 199)
"""None of these is a number that a knob has below: where a loss has a kink, rounding decides on which side p is."""
CURVES = [entry.name for entry in losses.catalogue() if entry.curve is not None]


def neighbours(source: Fixed | Scheduled) -> list[float | bool | str]:
    """The default, and other legal values of a knob."""
    domain, default = source.domain, settled(source)
    if isinstance(domain, Words):
        return [word == "true" if isinstance(default, bool) else word for word in domain.words]
    candidates = [1, 2, 5] if isinstance(domain, Whole) else [-9.0, -1.0, 0.0, 0.2, 0.5, 0.9, 1.0, 1.5, 2.0, 3.3, 12.0]
    return [value for value in [default, *candidates] if value is not None and value in domain]


def settings(name: str) -> list[dict[str, float | bool | str | None]]:
    """The defaults with one knob after the other at each of its values."""
    knobs = formulas.get(name).knobs
    plain = {knob: settled(source) for knob, source in knobs.items()}
    changed = [{**plain, knob: value} for knob, source in knobs.items() for value in neighbours(source)]
    if name == "ce-el":
        # Its two weights mean something only together.
        changed = [each for each in changed if each["alpha"] is None and each["beta"] is None]
        changed += [{**plain, "alpha": 0.5, "beta": 3.0, "normalize": word} for word in ("none", "area")]
    return [plain, *changed]


def test_every_loss_of_p_y_has_its_formula_and_every_formula_its_loss() -> None:
    assert [entry.name for entry in formulas.catalogue()] == CURVES


@pytest.mark.parametrize("name", CURVES)
def test_a_formula_is_the_value_and_the_gradient_of_its_loss(name: str) -> None:
    logits = torch.from_numpy(np.stack([np.log(P), *[np.log((1 - P) / 2)] * 2], axis=-1))
    target = torch.zeros(len(P), dtype=torch.int64)
    _, curve = formulas.over_probability(name)
    for knobs in settings(name):
        leaf = logits.clone().requires_grad_()
        loss = losses.instance(name, classes=3, knobs=knobs)(leaf, target)
        loss.sum().backward()
        value, weight = curve(P, **knobs)
        np.testing.assert_allclose(value, loss.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=str(knobs))
        pull = -leaf.grad[:, 0].numpy()
        np.testing.assert_allclose(weight * (1 - P), pull, rtol=1e-9, atol=1e-12, err_msg=str(knobs))


def test_more_than_one_setting_of_every_number_is_compared() -> None:
    for entry in formulas.catalogue():
        seen = settings(entry.name)
        for knob, source in entry.knobs.items():
            assert not isinstance(source, FromData)
            assert len({each[knob] for each in seen}) > 1, (entry.name, knob)
            assert isinstance(source.domain, Interval | Whole | Words)


@pytest.mark.parametrize("text", ["lace", "focal:gamma=3.0", "ce-el:schedule=f0-0.5", "gce:q=learned(0.7)", "l1"])
def test_a_text_means_the_same_with_and_without_torch(text: str) -> None:
    assert formulas.canonical(text) == losses.resolve(text)


def test_what_depends_on_more_than_p_y_has_no_formula() -> None:
    for text in ("brier", "label-smoothing:epsilon=0.2", "./my_loss.py:mine", "nothing"):
        assert formulas.canonical(text) is None
        assert formulas.over_probability(text) is None


def test_knobs_are_refused_with_the_same_words() -> None:
    for text in ("gce:q=2", "focal:gama=1", "ce:a=1", "ce-el:alpha=1"):
        with pytest.raises(UsageError) as of_loss:
            losses.resolve(text)
        with pytest.raises(UsageError) as of_formula:
            formulas.over_probability(text)
        assert str(of_formula.value) == str(of_loss.value)
