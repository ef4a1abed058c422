"""What a run can say. Every fact that reaches the store is one of these events.

Events are plain values: they pickle, compare and go through JSON unchanged. Times are UTC in ISO 8601.
"""

import array
import base64
import math
import re
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, get_args

__all__ = [
    "EVENT_VERSION",
    "EpochDone",
    "EpochMetrics",
    "Event",
    "PredictionsKept",
    "RunEnded",
    "RunMarked",
    "RunStarted",
    "Status",
    "from_json",
    "moment",
    "new_run_id",
    "now",
    "to_json",
]

EVENT_VERSION = 1
"""Version of the JSON form below; `lossbench.store.upcast` lifts earlier ones."""

Status = Literal["done", "interrupted", "diverged", "failed"]

_COLUMNS = {"label": "H", "predicted": "H", "rank": "H", "p_true": "f", "p_max": "f"}
_LARGEST_COLUMN = 2**26
_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_METRIC = re.compile(r"[A-Za-z0-9_-]{1,40}/[A-Za-z0-9_./-]{1,100}")
_MARK = re.compile(r"name|note|removed|tuning|tag:[^\s:]{1,100}|look:[0-9a-f]{12}")
_NON_FINITE = ("nan", "inf", "-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics:
    """The record of one finished epoch; `epoch` counts from 1, `values` maps `split/name` to a number."""

    epoch: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A process has taken up a run, for the first time or again after an interruption."""

    run_id: str
    at: str
    key: str
    recipe: str
    spec: Mapping[str, Any]
    from_epoch: int
    """Epochs already finished when this process took over."""
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochDone:
    """An epoch is over and evaluated."""

    run_id: str
    at: str
    metrics: EpochMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsKept:
    """What the model said of every image of a split; one value per row, in the split's order.

    `rank` is 0 when the true class has the largest logit. `p_true` and `p_max` are softmax probabilities.
    """

    run_id: str
    at: str
    epoch: int
    split: str
    label: Sequence[int]
    predicted: Sequence[int]
    rank: Sequence[int]
    p_true: Sequence[float]
    p_max: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A process has let go of a run in an orderly way."""

    run_id: str
    at: str
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMarked:
    """Something was said about a run: `name`, `note`, `removed` or `tag:<word>` by a person, the last word counting;
    `tuning`, the search it was part of; `look:<digest>`, a comparison that it stood in.

    An empty text or False takes the mark away.
    """

    run_id: str
    at: str
    marks: Mapping[str, str | bool]


Event = RunStarted | EpochDone | PredictionsKept | RunEnded | RunMarked

_KINDS: dict[str, type[Event]] = {
    "started": RunStarted,
    "epoch": EpochDone,
    "predictions": PredictionsKept,
    "ended": RunEnded,
    "marked": RunMarked,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def now() -> str:
    """The present moment, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


# The records of a cohort's epoch are of one moment.
@lru_cache(maxsize=64)
def moment(at: str) -> datetime:
    """The moment an event's `at` names, in UTC.

    Raises:
        ValueError: it names none, or has no time zone.
    """
    when = datetime.fromisoformat(at)
    if when.utcoffset() is None:
        raise ValueError(f"time {at!r} has no time zone")
    return when.astimezone(UTC)


def new_run_id() -> str:
    """Ten letters and digits, no two alike among any number of runs a lab will ever do."""
    return "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(10))


def to_json(event: Event) -> dict[str, Any]:
    """The event as a dictionary of plain JSON values."""
    body: dict[str, Any] = {"v": EVENT_VERSION, "kind": _NAMES[type(event)], "run_id": event.run_id, "at": event.at}
    match event:
        case RunStarted():
            return body | {
                "key": event.key,
                "recipe": event.recipe,
                "spec": dict(event.spec),
                "from_epoch": event.from_epoch,
                "provenance": dict(event.provenance),
            }
        case EpochDone(metrics=metrics):
            values = metrics.values
            numbers = values if _all_finite(values) else {name: _number(value) for name, value in values.items()}
            return body | {"epoch": metrics.epoch, "metrics": numbers}
        case PredictionsKept():
            columns = {name: _pack(code, getattr(event, name)) for name, code in _COLUMNS.items()}
            return body | {"epoch": event.epoch, "split": event.split, "columns": columns}
        case RunEnded():
            return body | {"status": event.status, "reason": event.reason}
        case RunMarked():
            return body | {"marks": dict(event.marks)}


def from_json(body: Mapping[str, Any]) -> Event:
    """The event a dictionary of the present `EVENT_VERSION` describes.

    Raises:
        ValueError: it describes none, whatever it holds instead.
    """
    try:
        return _from_json(body)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, zlib.error) as error:
        raise ValueError(f"not an event: {error}") from error


def _from_json(body: Mapping[str, Any]) -> Event:
    common = {"run_id": _text(body["run_id"], _RUN_ID), "at": body["at"]}
    moment(body["at"])
    match body["kind"]:
        case "started":
            spec, provenance = body["spec"], body["provenance"]
            _text(spec["preset"]["name"])
            _text(spec["loss"]["text"])
            _count(spec["preset"]["epochs"])
            _count(spec["seed"])
            return RunStarted(
                **common,
                key=_text(body["key"]),
                recipe=_text(body["recipe"]),
                spec=spec,
                from_epoch=_count(body["from_epoch"]),
                provenance={**provenance},
            )
        case "epoch":
            given = body["metrics"]
            _metrics(tuple(given))
            values = given if _all_finite(given) else {name: _value(value) for name, value in given.items()}
            return EpochDone(**common, metrics=EpochMetrics(epoch=_count(body["epoch"], least=1), values=values))
        case "predictions":
            columns: dict[str, Any] = {name: _unpack(code, body["columns"][name]) for name, code in _COLUMNS.items()}
            if len({len(column) for column in columns.values()}) != 1:
                raise ValueError("prediction columns differ in length")
            where: dict[str, Any] = {"epoch": _count(body["epoch"], least=1), "split": _text(body["split"])}
            return PredictionsKept(**common, **where, **columns)
        case "ended":
            if body["status"] not in get_args(Status):
                raise ValueError(f"unknown status {body['status']!r}")
            return RunEnded(**common, status=body["status"], reason=_text(body["reason"]))
        case "marked":
            marks = {_text(name, _MARK): value for name, value in body["marks"].items()}
            if not all(isinstance(value, str | bool) for value in marks.values()):
                raise ValueError("a mark is a text or a truth value")
            return RunMarked(**common, marks=marks)
        case kind:
            raise ValueError(f"unknown kind of event {kind!r}")


def _all_finite(values: Mapping[str, Any]) -> bool:
    """Whether all are floats that stand in JSON as they are, which most records have alone."""
    numbers = values.values()
    return set(map(type, numbers)) == {float} and all(map(math.isfinite, numbers))


def _number(value: float) -> float | str:
    # JSON has no word for NaN or infinity.
    return float(value) if math.isfinite(value) else str(float(value))


def _value(value: float | str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if (type(value) is int and -(2**53) < value < 2**53) or value in _NON_FINITE:
        return float(value)
    raise ValueError(f"{value!r} is not a number")


# A journal repeats the same few names in every line.
@lru_cache(maxsize=1024)
def _metrics(names: tuple[str, ...]) -> None:
    for name in names:
        _text(name, _METRIC)


def _count(value: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 2**31:
        raise ValueError(f"{value!r} is not a count")
    return value


def _text(value: str, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        raise ValueError(f"{value!r} is not a text of the right form")
    return value


def _pack(code: str, values: Sequence[float]) -> str:
    return base64.b85encode(zlib.compress(array.array(code, values).tobytes())).decode()


def _unpack(code: str, text: str) -> tuple[float, ...]:
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(base64.b85decode(text), _LARGEST_COLUMN)
    if not unpacker.eof:
        raise ValueError("a packed column is torn or implausibly long")
    values = array.array(code)
    values.frombytes(raw)
    return tuple(values)
