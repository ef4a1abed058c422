"""The pull of a loss over p_y, against the formulas of the papers."""

import numpy as np
import pytest

from lossbench.errors import UsageError
from lossbench.plots import Request
from lossbench.plots.gradient import draw_gradient, pull
from lossbench.schedules import Clock
from lossbench.store import Selection

P = np.linspace(0.01, 0.99, 50)
CLOCK = Clock(epoch=0, epochs=100)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize(("loss", "expected"), [("ce", 1 - P), ("expectation", P * (1 - P)), ("mae", 2 * P * (1 - P))])
def test_the_pull_of_simple_losses_is_their_formula(loss: str, expected: np.ndarray, classes: int) -> None:
    assert pull(loss, P, clock=CLOCK, classes=classes) == pytest.approx(expected, rel=1e-9)


def test_a_scheduled_knob_is_drawn_at_both_ends() -> None:
    figure = draw_gradient(Request(selection=Selection(losses=("ce", "ce-el:focus=0-0.5"))))
    assert figure.series == ("ce", "ce-el:focus=0-0.5 at first", "ce-el:focus=0-0.5 at last")
    first, last = figure.panels[0].marks[1:]
    assert not np.allclose(first.y, last.y)
    assert np.all(figure.panels[1].marks[0].y == pytest.approx(1.0))


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'adaptive'"):
        draw_gradient(Request(selection=Selection(losses=("adaptiv",))))
