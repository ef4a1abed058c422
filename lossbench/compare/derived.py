"""Metrics made from whole curves: how soon a value is reached, and how much there was on the way."""

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lossbench.errors import NothingFound, UsageError
from lossbench.measures import Measure, measure
from lossbench.store import Selection, Store, queries
from lossbench.store.queries import Curve, Final

__all__ = ["Derived", "derived_finals", "parse_derived"]

_FORM = re.compile(r"(epochs|samples|seconds)-to:(?:(\w+)/)?(\w+)(>=|<=)([-+.\deE]+)|auc:(?:(\w+)/)?(\w+)")


_KINDS: dict[str, Literal["epochs", "samples", "seconds"]] = {
    "epochs": "epochs",
    "samples": "samples",
    "seconds": "seconds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """`epochs-to:test/top1_acc>=75`, `samples-to:` and `seconds-to:` likewise, or `auc:test/nll`."""

    kind: Literal["epochs", "samples", "seconds", "auc"]
    split: str
    base: Measure
    above: bool = True
    threshold: float = 0.0
    """In stored units."""

    @property
    def measure(self) -> Measure:
        """What is compared in the end."""
        of = f"{self.base.title} on {self.split}"
        if self.kind == "auc":
            name = f"auc:{self.split}/{self.base.name}"
            return replace(self.base, name=name, title=f"mean over epochs of {of}", meaning="area under the curve")
        sign, limit = ">=" if self.above else "<=", f"{self.threshold * self.base.scale:g}"
        return Measure(
            name=f"{self.kind}-to:{self.split}/{self.base.name}{sign}{limit}",
            title=f"{self.kind} until {of} {sign} {limit} {self.base.shown_unit}".strip(),
            unit="seconds" if self.kind == "seconds" else "count",
            better="lower",
            meaning="first time the curve is there; runs that never are have no value",
        )


def parse_derived(text: str) -> Derived | None:
    """Read a derived metric; None where the text is a plain one. Thresholds are in the unit people see.

    Raises:
        UsageError: it begins like a derived metric but is none.
    """
    if ":" not in text:
        return None
    match = _FORM.fullmatch(text.replace(" ", ""))
    if match is None:
        raise UsageError(
            f"metric {text!r}: write epochs-to:, samples-to: or seconds-to: with a limit, "
            "such as epochs-to:test/top1_acc>=75, or auc:test/top1_acc"
        )
    kind, split, name, sign, limit, auc_split, auc_name = match.groups()
    if auc_name is not None:
        return Derived(kind="auc", split=auc_split or "test", base=measure(auc_name))
    base = measure(name)
    try:
        threshold = float(limit) / base.scale
    except ValueError as error:
        raise UsageError(f"metric {text!r}: {limit!r} is not a number") from error
    return Derived(
        kind=_KINDS[kind],
        split=split or "test",
        base=base,
        above=sign == ">=",
        threshold=threshold,
    )


def derived_finals(store: Store, selection: Selection, wanted: Derived) -> dict[str, Final]:
    """The derived value of each run by run id; infinity where the limit was never reached.

    Raises:
        NothingFound: samples are asked for, and no run tells how many an epoch has.
    """
    curves = queries.curves(store, selection, wanted.base.name, split=wanted.split)
    if wanted.kind == "auc":
        return {each.run_id: Final(each.run_id, _mean(each), int(each.epochs[-1]), each.epochs.size) for each in curves}
    if wanted.kind == "samples":
        rows = {run: told.get("train_rows") for run, told in queries.provenances(store, selection).items()}
        if curves and not any(rows.get(each.run_id) for each in curves):
            raise NothingFound("none of these runs tells how many rows an epoch has; epochs-to: asks without")
        return {each.run_id: _samples(_first(each, wanted, None), rows.get(each.run_id)) for each in curves}
    clock = queries.curves(store, selection, "seconds", split="train") if wanted.kind == "seconds" else []
    seconds = {each.run_id: each for each in clock}
    return {each.run_id: _first(each, wanted, seconds.get(each.run_id)) for each in curves}


def _samples(epochs: Final, rows: int | None) -> Final:
    """Rows seen in that many epochs; unknown for runs whose store does not tell how many rows an epoch had."""
    known = None if rows is None or epochs.value is None else epochs.value * rows
    return replace(epochs, value=known)


def _mean(curve: Curve) -> float:
    """Area under the curve by trapezia, over its length: the mean between the first epoch and the last."""
    if curve.epochs.size == 1:
        return float(curve.values[0])
    return float(np.trapezoid(curve.values, curve.epochs) / (curve.epochs[-1] - curve.epochs[0]))


def _first(curve: Curve, wanted: Derived, seconds: Curve | None) -> Final:
    hits = curve.values >= wanted.threshold if wanted.above else curve.values <= wanted.threshold
    if not hits.any():
        return Final(curve.run_id, math.inf, None, curve.epochs.size)
    epoch = int(curve.epochs[int(np.argmax(hits))])
    if wanted.kind in ("epochs", "samples"):
        return Final(curve.run_id, float(epoch), epoch, curve.epochs.size)
    spent = None if seconds is None else float(seconds.values[seconds.epochs <= epoch].sum())
    return Final(curve.run_id, spent, epoch, curve.epochs.size)
