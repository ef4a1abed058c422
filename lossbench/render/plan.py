"""A plan as a report: how many seeds, and what each number of them can see."""

from lossbench.compare.planning import Plan
from lossbench.render.contrasts import points
from lossbench.render.sentences import amount, seed_count
from lossbench.render.values import Column, Document, Section, Table

__all__ = ["plan_document"]


def plan_document(value: Plan) -> Document:
    """The report on a plan."""
    delta = amount(value.measure, value.delta, unit=True)
    spread = amount(value.measure, value.spread.sd, unit=True)
    ends = "" if value.needed_range is None else f" ({' to '.join(map(seed_count, value.needed_range))})"
    answer = (
        f"{seed_count(value.needed)} seeds per loss{ends} see a difference of {delta} "
        f"with {100 * value.target:.0f} % power at level {value.alpha:g}, at a spread of {spread}."
    )
    columns = (
        Column(key="seeds", title="seeds", kind="integer", anchor=True),
        Column(key="power", title=f"chance to see {delta}", kind="percent", digits=1),
        points(value.measure, "detectable", f"seen with {100 * value.target:.0f} %"),
    )
    table = Table(name="plan", columns=columns, rows=value.rows)
    fields = (
        Column(key="metric", title="metric"),
        Column(key="delta", title="delta", kind="number"),
        Column(key="sd", title="sd", kind="number"),
        Column(key="source", title="source"),
        Column(key="alpha", title="alpha", kind="number"),
        Column(key="target", title="target", kind="number"),
        Column(key="needed", title="needed", kind="integer"),
        Column(key="needed_low", title="needed, at least", kind="integer"),
        Column(key="needed_high", title="needed, at most", kind="integer"),
    )
    low, high = value.needed_range or (None, None)
    common = (
        value.measure.name, value.delta, value.spread.sd, value.spread.source, value.alpha, value.target,
        value.needed, low, high,
    )  # fmt: skip
    records = Table(name="plan", columns=(*fields, *columns), rows=tuple((*common, *row) for row in value.rows))
    sections = (
        Section(heading="Seeds", body=(answer, table)),
        Section(heading="Spread", body=(f"standard deviation of the difference per seed: {value.spread.source}",)),
    )
    return Document(title="Power of a comparison", sections=sections, records=records)
