"""Losses over p_y, against the formulas of the papers."""

import numpy as np
import pytest

from lossbench.cli.spelling import derivatives
from lossbench.errors import UsageError
from lossbench.losses import over_probability
from lossbench.plots.gradient import draw_losses

P = np.linspace(0.01, 0.99, 50)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize(
    ("loss", "value", "weight"), [("ce", -np.log(P), P / P), ("expectation", 1 - P, P), ("mae", 2 * (1 - P), 2 * P)]
)
def test_exact_derivatives_of_simple_losses(loss: str, value: np.ndarray, weight: np.ndarray, classes: int) -> None:
    _, curve = over_probability(loss, classes=classes)
    found = curve(P)
    assert found[0] == pytest.approx(value, rel=1e-9)
    assert found[1] == pytest.approx(weight, rel=1e-9)


def test_a_loss_that_sees_more_than_p_y_is_drawn_by_its_derivatives() -> None:
    two, many = (draw_losses(["brier"], classes=each, derivatives=derivatives(each)) for each in (2, 10))
    assert two.panels[0].marks[0].y == pytest.approx(2 * (1 - two.panels[0].marks[0].x) ** 2)
    assert not np.allclose(two.panels[0].marks[0].y, many.panels[0].marks[0].y)


def test_a_scheduled_knob_is_drawn_at_both_ends() -> None:
    figure = draw_losses(["ce", "ce-el:focus=0-0.5"], classes=10, derivatives=derivatives(10))
    assert figure.series == ("ce", "ce-el:focus=0-0.5 at first", "ce-el:focus=0-0.5 at last")
    _, first, last = figure.panels[1].marks
    assert not np.allclose(first.y, last.y)


def test_the_weight_of_cross_entropy_is_one() -> None:
    assert draw_losses(["ce"], classes=10, derivatives=derivatives(10)).panels[2].marks[0].y == pytest.approx(1.0)


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'adaptive'"):
        draw_losses(["adaptiv"], classes=10, derivatives=derivatives(10))
