"""Losses as people write them, for the commands that do without torch as long as they can."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.formulas import Curve
    from lossbench.knobs import Source
    from lossbench.plots.gradient import Derivatives
    from lossbench.store import Store

__all__ = ["derivatives", "spelled"]


def derivatives(classes: int) -> "Derivatives":
    """Losses over p_y by way of torch, which is imported when the first is asked for."""

    def of(text: str) -> "tuple[Mapping[str, Source], Curve]":
        from lossbench.losses import over_probability

        return over_probability(text, classes=classes)

    return of


def spelled(store: "Store", losses: Sequence[str]) -> tuple[str, ...]:
    """Each name or pattern as it is where a stored loss matches it, else its canonical text where it is a loss.

    So an alias finds the runs, and `focal:gamma=3.0` those of `focal:gamma=3`.
    """
    from lossbench.store import queries

    # The usual baseline is canonical; asking the store for it would cost every comparison.
    if all(each == "ce" for each in losses):
        return tuple(losses)
    stored = queries.known(store, "loss")
    return tuple(
        each if any(fnmatchcase(loss, each) for loss in stored) or set("*?[") & set(each) else _canonical(each)
        for each in losses
    )


def _canonical(text: str) -> str:
    from lossbench import formulas

    try:
        if (ref := formulas.canonical(text)) is not None:
            return str(ref)
        # Brings torch, which a comparison does without as long as names are spelled as they are stored.
        from lossbench.losses import resolve

        return str(resolve(text, trial=False))
    except UsageError:
        return text
