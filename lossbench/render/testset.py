"""Intervals for a new test set beside those for new seeds."""

from collections.abc import Sequence

from lossbench.compare.testset import RowByRow
from lossbench.render.values import Column, Section, Table

__all__ = ["row_by_row_section"]

_KINDS = ("new_seeds", "new_test_set", "independent")
_TITLES = {"new_seeds": "new seeds", "new_test_set": "new test set", "independent": "if errors independent"}


def row_by_row_section(found: Sequence[RowByRow], alpha: float) -> Section:
    """What the per-row predictions say, one row per contrast and question."""
    columns = (
        Column(key="preset", title="preset", anchor=True),
        Column(key="loss", title="loss", anchor=True),
        Column(key="question", title="would hold for"),
        Column(key="gain", title="gain", kind="percent", unit="points", signed=True, digits=2),
        Column(key="low", title="from", kind="percent", unit="points", signed=True, digits=2),
        Column(key="high", title="to", kind="percent", unit="points", signed=True, digits=2),
    )
    pair_columns = (
        Column(key="preset", title="preset", anchor=True),
        Column(key="loss", title="loss", anchor=True),
        Column(key="seed", title="seed", kind="integer"),
        Column(key="rows", title="test rows", kind="integer"),
        Column(key="gained", title="only candidate right", kind="integer"),
        Column(key="lost", title="only baseline right", kind="integer"),
        Column(key="mcnemar_p", title="McNemar p", kind="pvalue"),
    )
    rows = []
    for each in found:
        for kind in _KINDS if each.crossed else ():
            estimate = getattr(each.crossed, kind)
            rows.append((each.preset, each.candidate, _TITLES[kind], estimate.value, *estimate.interval(1 - alpha)))
    pairs = tuple(
        (each.preset, each.candidate, each.seeds[0], each.rows, each.gained, each.lost, each.mcnemar_p)
        for each in found
    )
    tables = [
        Table(
            name="new_test_set",
            title="top-1 accuracy at the last epoch, both errors",
            columns=columns,
            rows=tuple(rows),
        )
    ]
    tables.append(
        Table(name="one_pair", title="the first pair of runs, at the last epoch", columns=pair_columns, rows=pairs)
    )
    return Section(heading="On a new test set", body=tuple(table for table in tables if table.rows))
