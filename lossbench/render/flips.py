"""Test rows by how they stood at one epoch, and how many are right at the last."""

from collections.abc import Sequence

from lossbench.compare.flips import Flips, Group
from lossbench.render.values import Column, Table

__all__ = ["flips_table"]


def flips_table(found: Sequence[Flips], limit: float) -> Table:
    """Three groups of rows for each run, and below them the sums of a loss over its seeds."""
    columns = (
        Column(key="preset", title="preset", anchor=True),
        Column(key="loss", title="loss", anchor=True),
        Column(key="seed", title="seed", kind="integer"),
        Column(key="epoch", title="epoch", kind="integer"),
        Column(key="last", title="last", kind="integer"),
        Column(key="group", title="stood"),
        Column(key="rows", title="rows", kind="integer"),
        Column(key="right", title="right at last", kind="integer"),
        Column(key="share", title="share", kind="percent", digits=2),
    )
    rows: list[tuple[object, ...]] = []
    for key in dict.fromkeys((each.preset, each.loss, each.epoch, each.last) for each in found):
        mine = [each for each in found if (each.preset, each.loss, each.epoch, each.last) == key]
        preset, loss, epoch, last = key
        for each in mine:
            groups = (each.right, each.near, each.far)
            rows += [(preset, loss, each.seed, epoch, last, *line) for line in _lines(groups, limit)]
        if len(mine) > 1:
            sums = tuple(map(_sum, zip(*((each.right, each.near, each.far) for each in mine), strict=True)))
            rows += [(preset, loss, None, epoch, last, *line) for line in _lines(sums, limit)]
    title = (
        "test rows by how they stood after an epoch, and how many are right after the last; without a seed: all seeds"
    )
    return Table(name="flips", title=title, columns=columns, rows=tuple(rows))


def _lines(groups: Sequence[Group], limit: float) -> list[tuple[str, int, int, float | None]]:
    names = ("right", f"wrong, p_y > {limit:g}", f"wrong, p_y <= {limit:g}")
    return [(name, each.rows, each.right, each.share) for name, each in zip(names, groups, strict=True)]


def _sum(groups: Sequence[Group]) -> Group:
    return Group(rows=sum(each.rows for each in groups), right=sum(each.right for each in groups))
