"""Each loss at the setting its own validation rows prefer, whatever search tried the settings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lossbench.compare.values import Choice, listed
from lossbench.errors import UsageError, unknown
from lossbench.spec import LossRef, parse_loss
from lossbench.store.queries import Final, RunBrief, flat

__all__ = ["budget_warnings", "choose", "confirmed", "family", "refuse_unknown"]

_KNOB = "loss."


def choose(
    rows: Sequence[RunBrief],
    fields: Sequence[str],
    specs: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Final],
    sign: int,
) -> tuple[list[RunBrief], tuple[Choice, ...]]:
    """The runs of each loss at its best setting, and what that choice rests on.

    A setting's score is the mean over seeds of its validation values. Settings with fewer values than the others, as
    where runs diverged, are passed over; of equal scores the one that was tried first wins.

    Args:
        rows: the runs of one preset, in the order they began.
        fields: what was tuned: dotted fields of the preset, and `loss.knob` for knobs of the losses.
        specs: one resolved spec of each recipe.
        scores: validation values by run id.
        sign: +1 where larger scores are better, -1 where smaller ones are.
    """
    knobs = [each.removeprefix(_KNOB) for each in fields if each.startswith(_KNOB)]
    families: dict[str, dict[tuple[str, str], list[RunBrief]]] = {}
    for row in rows:
        families.setdefault(family(row.loss, knobs), {}).setdefault((row.recipe, row.loss), []).append(row)
    chosen: list[RunBrief] = []
    choices = []
    for loss, settings in sorted(families.items()):
        values = {key: _values(runs, scores) for key, runs in settings.items()}
        most = max(map(len, values.values()))
        best = max(
            (key for key in settings if len(values[key]) == most),
            key=lambda key: sign * float(np.mean(values[key])) if values[key] else 0.0,
        )
        chosen += [row._replace(loss=loss) for row in settings[best]]
        choices.append(
            Choice(
                loss=loss,
                setting=_setting(best[1], fields, specs[best[0]]),
                score=float(np.mean(values[best])) if values[best] else None,
                tried=len(settings),
                runs=sum(map(len, settings.values())),
            )
        )
    return chosen, tuple(choices)


def confirmed(
    preset: str, rows: Sequence[RunBrief], studies: Mapping[str, str]
) -> tuple[Sequence[RunBrief], tuple[Choice, ...], tuple[str, ...], list[str]]:
    """The runs that confirm the choices of the latest search, alone; all runs where there was none.

    Args:
        rows: the runs of one preset, in the order they began.
        studies: what `lossbench tune` keeps with such runs, by run id.
    Returns:
        The runs under the names of the losses that were tuned, their choices, the fields tuned, and what to say.
    """
    told = ((row, studies[row.run_id]) for row in rows if row.run_id in studies)
    marked = [(row, body) for row, text in told if (body := _study(text))]
    if not marked:
        return rows, (), (), []
    latest = marked[-1][1]
    chosen = [(row, body) for row, body in marked if body["study"] == latest["study"]]
    space, seeds = "; ".join(latest["space"]), listed(latest["seeds"])
    how = f"{latest['trials']} trials by {latest['search']} over {space}, seeds {seeds}"
    choices = {body["choice"]["loss"]: Choice(**body["choice"], search=how) for _, body in chosen}
    left = len(rows) - len(chosen)
    said = [f"{preset}: {left} runs that do not confirm that search are left out"] if left else []
    runs = [row._replace(loss=body["choice"]["loss"]) for row, body in chosen]
    return runs, tuple(choices[loss] for loss in sorted(choices)), tuple(latest["fields"]), said


def family(loss: str, knobs: Iterable[str]) -> str:
    """A loss without the knobs that were tuned."""
    known = parse_loss(loss)
    left = [(knob, text) for knob, text in known.knobs if knob not in knobs]
    return str(LossRef(known.name, tuple(left)))


def budget_warnings(preset: str, choices: Sequence[Choice]) -> list[str]:
    """A sentence where one loss had more tuning than another."""
    if len({(each.tried, each.runs) for each in choices}) <= 1:
        return []
    parts = "; ".join(f"{each.loss}: {each.tried} settings, {each.runs} runs" for each in choices)
    return [f"{preset}: the losses were tuned with unequal budgets ({parts})"]


def _study(text: str) -> dict[str, Any] | None:
    """What a mark tells of a search; None where it tells of none."""
    wanted = {"study", "fields", "choice", "trials", "search", "space", "seeds"}
    try:
        body = json.loads(text)
    except ValueError:
        return None
    whole = isinstance(body, dict) and wanted <= body.keys() and isinstance(body["choice"], dict)
    return body if whole and body["choice"].keys() == {"loss", "setting", "score", "tried", "runs"} else None


def _values(runs: Sequence[RunBrief], scores: Mapping[str, Final]) -> list[float]:
    found = (scores[row.run_id].value for row in runs if row.status == "done" and row.run_id in scores)
    return [value for value in found if value is not None and np.isfinite(value)]


def _setting(loss: str, fields: Sequence[str], spec: Mapping[str, Any]) -> str:
    knobs = {f"{_KNOB}{knob}": text for knob, text in parse_loss(loss).knobs}
    known = dict(flat(spec["preset"])) | knobs
    return ", ".join(f"{field}={known[field]}" for field in fields if field in known) or "as it is"


def refuse_unknown(rows: Sequence[RunBrief], fields: Sequence[str], specs: Mapping[str, Mapping[str, Any]]) -> None:
    """Check the names of tuned fields.

    Raises:
        UsageError: no preset has such a field, or no loss of these runs sets such a knob.
    """
    known = {name for row in rows for name, _ in flat(specs[row.recipe]["preset"])}
    known |= {f"{_KNOB}{knob}" for row in rows for knob, _ in parse_loss(row.loss).knobs}
    for field in fields:
        if field not in known:
            raise (
                unknown("field", field, sorted(known))
                if not field.startswith(_KNOB)
                else UsageError(
                    f"no loss of these runs sets {field}; write a knob that was searched, such as loss.gamma"
                )
            )
