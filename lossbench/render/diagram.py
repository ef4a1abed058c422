"""The critical-difference diagram (Demsar 2006) as a table: one line per loss, and one per group not told apart."""

from lossbench.compare import Ranking
from lossbench.render.values import Column, Table

__all__ = ["rank_diagram"]

_WIDTH = 41
"""Characters from rank 1 to the last; odd, so that the middle has one."""


def rank_diagram(value: Ranking) -> Table | None:
    """Mean ranks on a line, the best first; None where there is no critical difference to draw."""
    if value.critical_difference is None:
        return None
    last = len(value.losses)
    ranks = dict(zip(value.losses, value.mean_ranks, strict=True))
    rows: list[tuple[object, ...]] = [
        (loss, rank, _drawn(rank, rank, last, "●")) for loss, rank in sorted(ranks.items(), key=lambda item: item[1])
    ]
    for clique in value.cliques:
        places = [ranks[loss] for loss in clique]
        rows.append(("not told apart", None, _drawn(min(places), max(places), last, "━")))
    columns = (
        Column(key="loss", title="loss", anchor=True),
        Column(key="mean_rank", title="mean rank", kind="number", digits=2),
        Column(key="diagram", title="1" + str(last).rjust(_WIDTH - 1, "·")),
    )
    title = (
        f"critical difference {value.critical_difference:.2f} mean ranks (Nemenyi); a line joins what differs by less"
    )
    return Table(name="diagram", title=title, columns=columns, rows=tuple(rows))


def _drawn(first: float, last: float, ranks: int, mark: str) -> str:
    begin, end = (round((rank - 1) / (ranks - 1) * (_WIDTH - 1)) for rank in (first, last))
    return "·" * begin + mark * (end - begin + 1) + "·" * (_WIDTH - 1 - end)
