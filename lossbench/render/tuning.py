"""What a search came to."""

from collections.abc import Sequence

from lossbench.compare.values import Choice
from lossbench.measures import Measure
from lossbench.render.values import Column, Table, measure_column

__all__ = ["choices_table"]


def choices_table(choices: Sequence[Choice], measure: Measure) -> Table:
    """The setting each loss stands at, and what it was chosen from."""
    columns = (
        Column(key="loss", title="loss", anchor=True),
        Column(key="setting", title="setting"),
        Column(key="tried", title="settings tried", kind="integer"),
        Column(key="tuning_runs", title="runs", kind="integer"),
        measure_column(measure, key="score", title="on validation"),
    )
    rows = tuple((each.loss, each.setting, each.tried, each.runs, each.score) for each in choices)
    return Table(name="choices", title="chosen on the validation rows", columns=columns, rows=rows)
