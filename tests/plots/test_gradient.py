"""Losses over p_y, against the formulas of the papers."""

import numpy as np
import pytest

from lossbench.errors import UsageError
from lossbench.plots.gradient import draw_losses, over_probability

P = np.linspace(0.01, 0.99, 50)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize(
    ("loss", "value", "pull"),
    [("ce", -np.log(P), 1 - P), ("expectation", 1 - P, P * (1 - P)), ("mae", 2 * (1 - P), 2 * P * (1 - P))],
)
def test_simple_losses_are_their_formulas(loss: str, value: np.ndarray, pull: np.ndarray, classes: int) -> None:
    found = over_probability(loss, P, classes=classes)
    assert found[0] == pytest.approx(value, rel=1e-9)
    assert found[1] == pytest.approx(pull, rel=1e-9)


def test_a_scheduled_knob_is_drawn_at_both_ends() -> None:
    figure = draw_losses(["ce", "ce-el:focus=0-0.5"], classes=10)
    assert figure.series == ("ce", "ce-el:focus=0-0.5 at first", "ce-el:focus=0-0.5 at last")
    _, first, last = figure.panels[1].marks
    assert not np.allclose(first.y, last.y)


def test_the_weight_of_cross_entropy_is_one() -> None:
    assert draw_losses(["ce"], classes=10).panels[2].marks[0].y == pytest.approx(1.0)


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'adaptive'"):
        draw_losses(["adaptiv"], classes=10)
