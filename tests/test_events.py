"""Events: they go through JSON unchanged, and nothing that is no event passes for one."""

import copy
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.events import (
    EpochDone,
    EpochMetrics,
    Event,
    PredictionsKept,
    RunEnded,
    RunMarked,
    RunStarted,
    from_json,
    moment,
    new_run_id,
    now,
    to_json,
)
from lossbench.spec import LARGEST_COUNT

AT = "2026-01-01T00:00:00.000001+00:00"
SPEC = {"preset": {"name": "toy", "epochs": 2}, "loss": {"text": "ce"}, "seed": 0}

STARTED = RunStarted(run_id="r1", at=AT, key="k", recipe="c", spec=SPEC, from_epoch=0, provenance={"host": "here"})
EPOCH = EpochDone(run_id="r1", at=AT, metrics=EpochMetrics(epoch=1, values={"test/nll": 0.1, "train/lr": 1e-300}))
KEPT = PredictionsKept(
    run_id="r1",
    at=AT,
    epoch=1,
    split="test",
    label=(0, 9),
    predicted=(1, 9),
    rank=(1, 0),
    p_true=(0.25, 1.0),
    p_max=(0.5, 1.0),
)
ENDED = RunEnded(run_id="r1", at=AT, status="failed", reason="the disk is full")
MARKED = RunMarked(run_id="r1", at=AT, marks={"name": "best", "tag:kept": True, "removed": False})
EVENTS = (STARTED, EPOCH, KEPT, ENDED, MARKED)


def kind_of(event: Event) -> str:
    return type(event).__name__


def through_json(event: Event) -> Event:
    return from_json(json.loads(json.dumps(to_json(event), allow_nan=False)))


def test_the_largest_seed_and_number_of_epochs_that_may_be_asked_for_are_read_back() -> None:
    spec = SPEC | {"preset": {"name": "toy", "epochs": LARGEST_COUNT}, "seed": LARGEST_COUNT}
    asked = replace(STARTED, spec=spec)
    assert through_json(asked) == asked


@pytest.mark.parametrize("event", EVENTS, ids=kind_of)
def test_every_event_goes_through_json_unchanged(event: Event) -> None:
    assert through_json(event) == event


@given(st.dictionaries(st.sampled_from(["train/nll", "loss/base", "test/py_q05"]), st.floats()))
def test_every_float_survives_nan_and_infinity_included(values: dict[str, float]) -> None:
    told = EpochDone(run_id="r", at=AT, metrics=EpochMetrics(epoch=1, values=values))
    heard = through_json(told)
    assert isinstance(heard, EpochDone)
    for name, value in values.items():
        back = heard.metrics.values[name]
        assert back == value or (math.isnan(back) and math.isnan(value))


@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 1, width=32)), max_size=50))
def test_predictions_are_kept_exactly(rows: list[tuple[int, float]]) -> None:
    whole, shares = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
    kept = PredictionsKept(
        run_id="r", at=AT, epoch=1, split="test", label=whole, predicted=whole, rank=whole, p_true=shares, p_max=shares
    )
    assert through_json(kept) == kept


BAD_FIELDS = [
    ("run_id", "../../etc/passwd"),
    ("run_id", ""),
    ("run_id", 7),
    ("run_id", "-rf"),
    ("at", "yesterday"),
    ("at", "2026-01-01T00:00:00"),
    ("at", "0001-01-01T00:00:00+23:00"),
    ("at", None),
    ("kind", "exploded"),
    ("kind", []),
    ("epoch", 0),
    ("epoch", True),
    ("epoch", 1.5),
    ("epoch", LARGEST_COUNT + 1),
    ("metrics", {"test/nll": True}),
    ("metrics", {"test/nll": "1.5"}),
    ("metrics", {"test/nll": 10**400}),
    ("metrics", {"nll": 1.0}),
    ("metrics", {"test/'; DROP TABLE event": 1.0}),
    ("metrics", ["test/nll"]),
    ("columns", {}),
    ("status", "lost"),
    ("status", {}),
    ("reason", None),
    ("spec", {}),
    ("spec", "spec"),
    ("spec", SPEC | {"seed": -1}),
    ("spec", SPEC | {"preset": {"name": 3, "epochs": 1}}),
    ("from_epoch", -1),
    ("provenance", 3),
    ("key", None),
    ("marks", {"color": "red"}),
    ("marks", {"tag:two words": True}),
    ("marks", {"name": 3}),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS, ids=lambda value: str(value)[:30])
def test_a_field_of_the_wrong_kind_makes_no_event(name: str, value: Any) -> None:
    bodies = [to_json(event) for event in EVENTS if name in to_json(event)]
    assert bodies
    for body in bodies:
        with pytest.raises(ValueError, match="not an event"):
            from_json(body | {name: value})
        with pytest.raises(ValueError, match="not an event"):
            from_json({key: kept for key, kept in body.items() if key != name})


def corrupted(text: str) -> dict[str, Any]:
    body = copy.deepcopy(to_json(KEPT))
    body["columns"]["p_max"] = text
    return body


@pytest.mark.parametrize("text", ["", "~", "not packed at all", to_json(KEPT)["columns"]["p_max"][:-3]])
def test_a_torn_column_makes_no_event(text: str) -> None:
    with pytest.raises(ValueError, match="not an event"):
        from_json(corrupted(text))


def test_columns_of_different_length_make_no_event() -> None:
    shorter = PredictionsKept(
        run_id="r", at=AT, epoch=1, split="test", label=(0,), predicted=(0,), rank=(0,), p_true=(1,), p_max=(1,)
    )
    with pytest.raises(ValueError, match="differ in length"):
        from_json(corrupted(to_json(shorter)["columns"]["p_max"]))


def test_a_column_that_unpacks_to_gigabytes_is_refused() -> None:
    import base64
    import zlib

    bomb = base64.b85encode(zlib.compress(bytes(2**26 + 4), 9)).decode()
    with pytest.raises(ValueError, match="implausibly long"):
        from_json(corrupted(bomb))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(EVENTS), st.data())
def test_whatever_stands_in_a_field_it_is_an_event_or_a_value_error(event: Event, data: st.DataObject) -> None:
    body = to_json(event)
    body[data.draw(st.sampled_from(sorted(body)))] = data.draw(JSON)
    try:
        heard = from_json(body)
    except ValueError:
        return
    assert through_json(heard) == heard or "nan" in json.dumps(to_json(heard))


def test_moments_are_utc_and_run_ids_differ() -> None:
    assert moment("2026-01-01T02:00:00+02:00").isoformat() == "2026-01-01T00:00:00+00:00"
    assert moment(now()).utcoffset() is not None
    assert len({new_run_id() for _ in range(1000)}) == 1000
