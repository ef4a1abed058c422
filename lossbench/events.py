"""What a run can say. Every fact that reaches the store is one of these events.

Events are plain values: they pickle, compare and go through JSON unchanged. Times are UTC in ISO 8601.
"""

import array
import base64
import math
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = [
    "EVENT_VERSION",
    "EpochDone",
    "EpochMetrics",
    "Event",
    "PredictionsKept",
    "RunEnded",
    "RunStarted",
    "Status",
    "from_json",
    "new_run_id",
    "now",
    "to_json",
]

EVENT_VERSION = 1
"""Version of the JSON form below; `lossbench.store.upcast` lifts earlier ones."""

Status = Literal["done", "interrupted", "diverged", "failed"]

_COLUMNS = {"label": "H", "predicted": "H", "rank": "H", "p_true": "f", "p_max": "f"}


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


Event = RunStarted | EpochDone | PredictionsKept | RunEnded

_KINDS: dict[str, type[Event]] = {
    "started": RunStarted,
    "epoch": EpochDone,
    "predictions": PredictionsKept,
    "ended": RunEnded,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def now() -> str:
    """The present moment, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


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
            # JSON has no word for NaN or infinity.
            values = {
                name: value if math.isfinite(value) else str(value) for name, value in metrics.values.items()
            }
            return body | {"epoch": metrics.epoch, "metrics": values}
        case PredictionsKept():
            columns = {name: _pack(code, getattr(event, name)) for name, code in _COLUMNS.items()}
            return body | {"epoch": event.epoch, "split": event.split, "columns": columns}
        case RunEnded():
            return body | {"status": event.status, "reason": event.reason}


def from_json(body: Mapping[str, Any]) -> Event:
    """The event a dictionary of the present `EVENT_VERSION` describes."""
    common = {"run_id": body["run_id"], "at": body["at"]}
    match body["kind"]:
        case "started":
            names = ("key", "recipe", "spec", "from_epoch", "provenance")
            return RunStarted(**common, **{name: body[name] for name in names})
        case "epoch":
            values = {name: float(value) for name, value in body["metrics"].items()}
            return EpochDone(**common, metrics=EpochMetrics(epoch=body["epoch"], values=values))
        case "predictions":
            columns = {name: _unpack(code, body["columns"][name]) for name, code in _COLUMNS.items()}
            return PredictionsKept(**common, epoch=body["epoch"], split=body["split"], **columns)
        case "ended":
            return RunEnded(**common, status=body["status"], reason=body["reason"])
        case kind:
            raise ValueError(f"unknown kind of event {kind!r}")


def _pack(code: str, values: Sequence[float]) -> str:
    return base64.b85encode(zlib.compress(array.array(code, values).tobytes())).decode()


def _unpack(code: str, text: str) -> tuple[float, ...]:
    values = array.array(code)
    values.frombytes(zlib.decompress(base64.b85decode(text)))
    return tuple(values)
