"""The text of schedules, and the epoch at which each phase begins."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench import schedules
from lossbench.errors import UsageError
from lossbench.schedules import Clock, Constant, Cosine, Linear, Milestones, Staircase, Step, Switch, Window

PARSED = [
    ("0.3", Constant(0.3), "0.3"),
    ("-2.50", Constant(-2.5), "-2.5"),
    ("1e-4", Constant(1e-4), "0.0001"),
    ("0,0.5", Switch(0, 0.5), "0,0.5"),
    (" 0 , 0.5 @ 90 ", Switch(0, 0.5, 90), "0,0.5@90"),
    ("0,0.5@95", Switch(0, 0.5), "0,0.5"),
    ("0-0.5", Staircase(0, 0.5), "0-0.5"),
    ("0-0.5/11", Staircase(0, 0.5, 11), "0-0.5/11"),
    ("-1--0.5", Staircase(-1, -0.5), "-1--0.5"),
    ("1e-3-0.5", Staircase(1e-3, 0.5), "0.001-0.5"),
    ("0~0.5", Linear(0, 0.5), "0~0.5"),
    ("0,0.5@e90", Switch(0, 0.5, epoch=90), "0,0.5@e90"),
    ("cosine(1,0)", Cosine(1, 0), "cosine(1,0)"),
    ("cosine(1,0)@0:100", Cosine(1, 0), "cosine(1,0)"),
    ("cosine(1,0)@20:80", Cosine(1, 0, Window(20, 80)), "cosine(1,0)@20:80"),
    ("1e-3 ~ 0.5 @ e10:40", Linear(1e-3, 0.5, Window(10, 40, counted=True)), "0.001~0.5@e10:40"),
    ("step(50,0.1)", Step(50, 0.1), "step(50,0.1)"),
    ("milestones(0.1,100,150)", Milestones(0.1, (100, 150)), "milestones(0.1,100,150)"),
]


@pytest.mark.parametrize(("text", "schedule", "canonical"), PARSED, ids=[text for text, *_ in PARSED])
def test_text_is_read_and_written(text, schedule, canonical):
    assert schedules.parse(text) == schedule
    assert str(schedule) == canonical
    assert schedules.parse(canonical) == schedule


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is not a number or schedule"),
        ("inf", "is not a number or schedule"),
        ("nan", "is not a number or schedule"),
        ("0,0.5,1", "is not a number or schedule"),
        ("f0", "is not a number or schedule"),
        ("cosine(1)", "is not a number or schedule"),
        ("0,0.5@0", "between 1 and 99 %"),
        ("0,0.5@100", "between 1 and 99 %"),
        ("0,0.5@e0", "after at least 1 epoch"),
        ("0~0.5@80:20", "must end after it starts, got 80 to 20"),
        ("cosine(0,1)@e5:5", "must end after it starts, got 5 to 5"),
        ("0~0.5@20:120", "at 100 % of the epochs at most, got 120"),
        ("0-0.5@20:80", "is not a number or schedule"),
        ("0-0.5/1", "at least 2 steps"),
        ("step(0,0.1)", "at least 1 epoch"),
        ("milestones(0.1,150,100)", "milestones must rise"),
        ("milestones(0.1,100,100)", "milestones must rise"),
    ],
)
def test_what_is_no_schedule_is_refused(text, part):
    with pytest.raises(UsageError, match=part):
        schedules.parse(text)


def phases(schedule, epochs):
    """Lengths of the runs of equal values."""
    values = [schedule(Clock(epoch=epoch, epochs=epochs)) for epoch in range(epochs)]
    starts = [0, *(epoch for epoch in range(1, epochs) if values[epoch] != values[epoch - 1]), epochs]
    return [after - before for before, after in pairwise(starts)]


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [
        (5, [4, 1]),
        (6, [5, 1]),
        (7, [6, 1]),
        (10, [9, 1]),
        (50, [47, 3]),
        (90, [85, 5]),
        (200, [190, 10]),
        (240, [228, 12]),
    ],
)
def test_the_switch_comes_where_the_published_code_puts_it(epochs, lengths):
    assert phases(schedules.parse("0,0.5"), epochs) == lengths


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [
        (6, [1, 1, 1, 1, 1, 1]),
        (7, [1, 2, 1, 1, 1, 1]),
        (10, [1, 2, 2, 2, 2, 1]),
        (50, [8, 9, 8, 9, 8, 8]),
        (90, [15] * 6),
        (200, [33, 34, 33, 34, 33, 33]),
        (240, [40] * 6),
    ],
)
def test_the_staircase_steps_where_the_published_code_does(epochs, lengths):
    stairs = schedules.parse("0-0.5")
    assert phases(stairs, epochs) == lengths
    seen = dict.fromkeys(stairs(Clock(epoch=epoch, epochs=epochs)) for epoch in range(epochs))
    assert list(seen) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_five_epochs_cannot_hold_six_phases():
    stairs = schedules.parse("0-0.5")
    assert stairs.shortest == 6
    assert len(phases(stairs, 5)) < 6


@pytest.mark.parametrize(("percent", "shortest"), [(95, 2), (50, 2), (33, 4), (10, 10), (1, 100), (99, 2)])
def test_the_shortest_length_of_a_switch(percent, shortest):
    assert Switch(0, 1, percent).shortest == shortest


numbers = st.floats(-10, 10).map(lambda value: round(value, 3))
ends = st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1])
any_schedule = st.one_of(
    numbers.map(Constant),
    st.builds(lambda pair, percent: Switch(*pair, percent), ends, st.integers(1, 99)),
    st.builds(lambda pair, steps: Staircase(*pair, steps), ends, st.integers(2, 40)),
    ends.map(lambda pair: Linear(*pair)),
    ends.map(lambda pair: Cosine(*pair)),
    st.builds(Step, st.integers(1, 100), st.floats(0.1, 1).map(lambda value: round(value, 3))),
    st.builds(
        lambda factor, epochs: Milestones(factor, tuple(sorted(epochs))),
        st.floats(0.1, 1).map(lambda value: round(value, 3)),
        st.sets(st.integers(1, 300), min_size=1, max_size=5),
    ),
)


@given(any_schedule)
def test_every_schedule_survives_its_text(schedule):
    assert schedules.parse(str(schedule)) == schedule


@given(any_schedule, st.integers(0, 300))
def test_from_its_shortest_length_on_no_phase_is_empty(schedule, extra):
    epochs = schedule.shortest + extra
    values = [schedule(Clock(epoch=epoch, epochs=epochs)) for epoch in range(epochs)]
    match schedule:
        case Switch(first=first, last=last):
            assert (values[0], values[-1]) == (first, last)
        case Staircase(first=first, last=last, steps=steps):
            assert len(phases(schedule, epochs)) == steps
            assert values[0] == first
            assert values[-1] == pytest.approx(last)
        case Linear(first=first, last=last) | Cosine(first=first, last=last):
            assert values[0] == pytest.approx(first)
            assert values[-1] == pytest.approx(last)


@given(any_schedule.filter(lambda each: hasattr(each, "first")), st.integers(1, 300))
def test_values_stay_between_the_ends(schedule, epochs):
    low, high = sorted((schedule.first, schedule.last))
    values = [schedule(Clock(epoch=epoch, epochs=epochs)) for epoch in range(epochs)]
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)


def test_step_and_milestones():
    cut = schedules.parse("step(50,0.1)")
    factors = [cut(Clock(epoch=epoch, epochs=200)) for epoch in (0, 49, 50, 149, 150)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01, 1e-3])
    assert phases(cut, 200) == [50, 50, 50, 50]
    assert phases(schedules.parse("milestones(0.1,120,160,200)"), 240) == [120, 40, 40, 40]


def test_one_epoch_takes_the_first_value_of_a_ramp():
    only = Clock(epoch=0, epochs=1)
    assert [schedules.parse(text)(only) for text in ("0~1", "cosine(0,1)", "0.25")] == [0, 0, 0.25]


@pytest.mark.parametrize(
    ("text", "epochs", "values"),
    [
        ("0,1@e3", 5, [0, 0, 0, 1, 1]),
        ("0~1@e1:3", 6, [0, 0, 0.5, 1, 1, 1]),
        ("0~1@20:60", 10, [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1]),
        ("0~1@50:100", 6, [0, 0, 0, 0, 0.5, 1]),
        ("cosine(2,0)@e1:3", 5, [2, 2, 1, 0, 0]),
    ],
)
def test_a_change_is_placed_in_percent_or_in_epochs(text, epochs, values):
    schedule = schedules.parse(text)
    made = [schedule(Clock(epoch=epoch, epochs=epochs)) for epoch in range(epochs)]
    assert made == pytest.approx(values, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "shortest"), [("0,1@e3", 4), ("0~1@e1:3", 4), ("0~1", 2), ("0~1@90:100", 11), ("0~1@50:60", 5)]
)
def test_the_shortest_training_goes_through_all_of_a_schedule(text, shortest):
    schedule = schedules.parse(text)
    assert schedule.shortest == shortest
    reached = {schedule(Clock(epoch=epoch, epochs=shortest)) for epoch in range(shortest)}
    assert {0.0, 1.0} <= reached
