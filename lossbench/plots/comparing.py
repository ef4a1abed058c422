"""The comparison that a chart shows."""

from lossbench.compare import Comparison, compare_losses
from lossbench.plots.request import Request
from lossbench.store import Store

__all__ = ["caption_of", "compared"]


def compared(store: Store, request: Request) -> Comparison:
    """What `lossbench compare` says of these runs.

    Raises:
        NothingFound, NotComparable, UsageError: as `compare_losses`.
    """
    return compare_losses(
        store,
        request.selection,
        baseline=request.baseline,
        metric=request.metrics[0] if request.metrics else None,
        at=request.at,
        tuned=request.tuned,
        allow=request.allow,
    )


def caption_of(text: str, request: Request) -> str:
    """A caption that also says what else than the loss differs between the runs."""
    tuned = f"each loss at its best {', '.join(request.tuned)} on validation" if request.tuned else ""
    allowed = f"runs may differ in {', '.join(request.allow)}" if request.allow else ""
    return "; ".join(filter(None, (text, tuned, allowed)))
