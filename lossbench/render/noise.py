"""A noise floor as a report."""

from lossbench.compare.noise import NoiseFloor
from lossbench.render.contrasts import points
from lossbench.render.sentences import amount
from lossbench.render.values import Column, Document, Section, Table, measure_column

__all__ = ["noise_document"]


def noise_document(value: NoiseFloor) -> Document:
    """The report on one loss against itself."""
    floor, largest = (amount(value.measure, each, unit=True) for each in (value.floor, value.largest))
    lines = (
        f"Chance alone makes differences of up to {floor} between two arms of {value.seeds} seeds (95 % of the splits; "
        f"at most {largest}).",
        f"False alarms: {100 * value.alarms:.1f} % of {value.splits} random splits were called better or worse; "
        f"{100 * value.alpha:g} % are to be expected.",
        "The splits share their runs: with few seeds that share wanders, and with more it settles.",
    )
    columns = (
        Column(key="preset", title="preset", anchor=True),
        Column(key="loss", title="loss", anchor=True),
        Column(key="runs", title="runs", kind="integer"),
        Column(key="seeds", title="seeds per arm", kind="integer"),
        measure_column(value.measure, key="mean", title="mean"),
        points(value.measure, "sd", "sd over seeds"),
        points(value.measure, "floor", "noise floor"),
        points(value.measure, "largest", "largest"),
        Column(key="alarms", title="false alarms", kind="percent", digits=1),
    )
    row = (
        value.preset, value.loss, value.runs, value.seeds, value.mean, value.sd, value.floor, value.largest,
        value.alarms,
    )  # fmt: skip
    table = Table(name="noise", columns=columns, rows=(row,))
    title = f"{value.loss} against itself on {value.preset}: {value.measure.title}"
    sections = (Section(heading="Noise floor", body=lines), Section(heading="Numbers", body=(table,)))
    return Document(title=title, sections=sections, records=table)
