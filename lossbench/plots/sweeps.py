"""A final metric over a grid: lines over one field, a heat map per loss over two."""

from collections.abc import Mapping, Sequence

import numpy as np

from lossbench.charts import Axis, Cells, Figure, Line, Panel
from lossbench.errors import NothingFound, UsageError
from lossbench.plots.bands import BAND_NAMES, spread
from lossbench.plots.request import Request
from lossbench.plots.runs import Quantity, field_value, finals, listed, preset_names, quantities, select
from lossbench.spec import differing_fields, parse_loss
from lossbench.store import Store, queries
from lossbench.store.queries import RunBrief

__all__ = ["draw_sweep"]

_Place = tuple[str, ...]
_KNOB = "loss."


def draw_sweep(store: Store, request: Request) -> Figure:
    """Final values over the fields in which the selected runs differ, or over those named."""
    rows = select(store, request)
    quantity, *_ = quantities(store, request, rows)
    values, at = finals(store, request, quantity, rows)
    rows = [row for row in rows if row.run_id in values]
    differing = _differing(store, rows)
    fields = request.fields or differing
    if not fields:
        raise NothingFound(
            "the selected runs differ in no field; sweep one with -g, or draw a knob: --field loss.gamma"
        )
    if len(fields) > 2:
        raise UsageError(f"the runs differ in {len(fields)} fields: {', '.join(fields)}; name one or two with --field")
    cells = _cells(store, rows, values, fields)
    losses = sorted(cells, key=lambda loss: (loss != request.baseline, loss))
    counts = sorted({len(found) for places in cells.values() for found in places.values()})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    others = [field for field in differing if field not in fields]
    n += f" runs, which differ in seed, {listed(others)}" if others else " seed" if counts == [1] else " seeds"
    title = f"{quantity.title} ({at}) over {' and '.join(fields)} on {preset_names(rows)}"
    if len(fields) == 2:
        panels = tuple(_grid(loss, cells[loss], fields, quantity) for loss in losses)
        return Figure(title=title, panels=panels, caption=f"mean of {n}, {quantity.measure.shown_unit}; * best")
    panel = Panel(
        x=Axis(title=fields[0].removeprefix(_KNOB), log=request.log_x),
        y=Axis(title=quantity.title, unit=quantity.measure.shown_unit, log=request.log_y),
        marks=tuple(_along(index, request, fields[0], cells[loss]) for index, loss in enumerate(losses)),
    )
    caption = f"{n}; {BAND_NAMES[request.band]}"
    return Figure(title=title, panels=(panel,), series=tuple(losses), caption=caption)


def _differing(store: Store, rows: Sequence[RunBrief]) -> tuple[str, ...]:
    """The fields of the preset that are not the same in all runs."""
    first, *others = queries.specs(store, {row.recipe for row in rows}).values()
    return tuple(sorted({name for spec in others for name in differing_fields(first["preset"], spec["preset"])}))


def _cells(
    store: Store, rows: Sequence[RunBrief], values: Mapping[str, float], fields: Sequence[str]
) -> dict[str, dict[_Place, list[float]]]:
    """Final values by loss, without the swept knobs in its name, and by the texts of the fields."""
    specs = queries.specs(store, {row.recipe for row in rows})
    swept = {field.removeprefix(_KNOB) for field in fields if field.startswith(_KNOB)}
    cells: dict[str, dict[_Place, list[float]]] = {}
    for row in rows:
        loss = parse_loss(row.loss)
        knobs = dict(loss.knobs)
        if not swept <= knobs.keys():
            continue
        kept = ",".join(f"{knob}={text}" for knob, text in loss.knobs if knob not in swept)
        name = f"{loss.name}:{kept}" if kept else loss.name
        preset = specs[row.recipe]["preset"]
        place = tuple(
            knobs[field.removeprefix(_KNOB)] if field.startswith(_KNOB) else str(field_value(preset, field))
            for field in fields
        )
        cells.setdefault(name, {}).setdefault(place, []).append(values[row.run_id])
    if not cells:
        named = sorted({_KNOB + knob for row in rows for knob, _ in parse_loss(row.loss).knobs})
        others = f"; set are {', '.join(named)}" if named else ""
        raise NothingFound(
            f"no selected run is done and sets {' and '.join(sorted(_KNOB + knob for knob in swept))}{others}"
        )
    return cells


def _along(series: int, request: Request, field: str, found: Mapping[_Place, Sequence[float]]) -> Line:
    """Mean and band at each value of one field."""
    try:
        ordered = sorted((float(text), np.array(each)[:, None]) for (text,), each in found.items())
    except ValueError as error:
        raise UsageError(f"{field} is not a number everywhere, so no line can be drawn over it ({error})") from error
    bands = [spread(each, request.band) for _, each in ordered]
    mean, low, high = (
        np.array([np.nan if part is None else float(part[0]) for part in parts]) for parts in zip(*bands, strict=True)
    )
    return Line(series=series, x=np.array([value for value, _ in ordered]), y=mean, low=low, high=high)


def _grid(loss: str, found: Mapping[_Place, Sequence[float]], fields: Sequence[str], quantity: Quantity) -> Panel:
    rows, columns = (_ordered({place[which] for place in found}) for which in (0, 1))
    values = np.array([[np.mean(found.get((row, column), np.nan)) for column in columns] for row in rows])
    return Panel(
        title=loss,
        x=Axis(title=fields[1], names=columns),
        y=Axis(title=fields[0], names=rows),
        marks=(Cells(values=values, higher_is_better=quantity.measure.better != "lower"),),
    )


def _ordered(texts: set[str]) -> tuple[str, ...]:
    """Numbers by size, words by letter."""
    try:
        return tuple(sorted(texts, key=float))
    except ValueError:
        return tuple(sorted(texts))
