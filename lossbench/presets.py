"""Finding presets and turning their TOML into validated values."""

import dataclasses
import difflib
import itertools
import json
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lossbench import schedules
from lossbench.errors import UsageError, unknown
from lossbench.measures import MEASURES
from lossbench.spec import NUMBERS_VERSION, LossRef, Preset, RunSpec, parse_assignment

__all__ = ["available", "describe", "folder", "load", "parse", "recall"]


def available() -> dict[str, Path]:
    """Every named preset and the file it is written in; the members of a family share one."""
    families = {name: path for path in sorted(folder().glob("families/*.toml")) for name in _family(path).members}
    return dict(sorted((families | _single()).items()))


def folder() -> Path:
    """Where the presets that come with lossbench are."""
    # A wheel carries the presets inside the package, a checkout beside it.
    package = Path(__file__).parent
    folders = (package / "_presets", package.parent / "presets")
    return next((each for each in folders if each.is_dir()), folders[0])


def load(name: str, overrides: Iterable[str] = ()) -> Preset:
    """The preset of that name, or in that file, with `field=value` overrides applied.

    Raises:
        UsageError: no such preset, an unreadable file, or fields that are wrong; all mistakes in one message.
    """
    path = _find(name)
    if words := _words(name, path):
        fields = {**_filled(_family(path).fields, words), "name": name}
    else:
        fields = {**_read(path), "name": path.stem}
    for override in overrides:
        _assign(fields, *parse_assignment(override))
    return parse(fields, source=str(name))


def describe(name: str, overrides: Sequence[str] = ()) -> str:
    """A preset's own text; with overrides, every field it then has, without the comments.

    Raises:
        UsageError: as `load` does.
    """
    preset = load(name, overrides)
    if not overrides:
        path = _find(name)
        text = path.read_text(encoding="utf-8")
        if words := _words(name, path):
            # The table that lists a family's members comes last in its file and is no part of a member.
            text = str(_filled(text.partition("\n[family]\n")[0], words))
        return text
    fields = dataclasses.asdict(preset)
    del fields["name"]  # a preset file is named by its file
    return "\n".join(_toml(fields))


def parse(fields: Mapping[str, Any], source: str) -> Preset:
    """Validate plain values into a preset; `source` is what error messages call it.

    Raises:
        UsageError: any field is unknown, missing, of the wrong type or out of range; all mistakes in one message.
    """
    mistakes = _unknown_fields(Preset, fields)
    try:
        preset = _validator().validate_python(fields)
    except ValidationError as error:
        mistakes += [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            + ("" if each["type"] == "missing" else f", got {each['input']!r}")
            for each in error.errors(include_url=False)
        ]
    else:
        mistakes += _inconsistencies(preset)
        if not mistakes:
            return preset
    if len(mistakes) == 1:
        raise UsageError(f"preset {source}: {mistakes[0]}")
    raise UsageError(f"preset {source} has {len(mistakes)} mistakes:\n  " + "\n  ".join(mistakes))


def recall(stored: Mapping[str, Any], key: str) -> RunSpec:
    """The cell a stored spec describes, which must still mean what its `key` says.

    Raises:
        UsageError: this lossbench reads the spec in another way, or not at all.
    """
    try:
        name = stored["preset"]["name"]
        loss = stored["loss"]
        spec = RunSpec(
            preset=parse(stored["preset"], source=str(name)),
            loss=LossRef(loss["name"], tuple((knob, text) for knob, text in loss["knobs"]), loss["code"]),
            seed=stored["seed"],
            numbers_version=stored["numbers_version"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the stored spec is not one this lossbench can read: {error!r}") from error
    if spec.key != key or spec.numbers_version != NUMBERS_VERSION:
        raise UsageError(f"cell {key} was asked of another version of lossbench and means other numbers now")
    return spec


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """Presets that differ in a word or two: one text with placeholders, and what fills them in each member."""

    fields: dict[str, Any]
    members: dict[str, dict[str, str]]


@cache
def _family(path: Path) -> _Family:
    fields = _read(path)
    family = fields.pop("family")
    template = family.pop("name")
    choices = [dict(zip(family, words, strict=True)) for words in itertools.product(*family.values())]
    return _Family(fields=fields, members={_filled(template, words): words for words in choices})


def _words(name: str, path: Path) -> dict[str, str] | None:
    """What fills the placeholders of that member; None where the file is one preset."""
    return _family(path).members.get(name) if path.parent == folder() / "families" else None


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """A copy of the value with every `{placeholder}` in its text replaced."""
    if isinstance(value, str):
        for placeholder, word in words.items():
            value = value.replace(f"{{{placeholder}}}", word)
        return value
    if isinstance(value, Mapping):
        return {key: _filled(each, words) for key, each in value.items()}
    return [_filled(each, words) for each in value] if isinstance(value, list) else value


def _single() -> dict[str, Path]:
    return {path.stem: path for path in folder().glob("*.toml")}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read preset {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"preset {path} is not TOML: {error}") from error


def _find(name: str) -> Path:
    if name.endswith(".toml") or "/" in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no preset file {name}")
        return path
    # Most names are files of their own; the families are opened only for the others.
    if name in (single := _single()):
        return single[name]
    known = available()
    if name not in known:
        raise unknown("preset", name, known)
    return known[name]


def _toml(fields: Mapping[str, Any], table: str = "") -> list[str]:
    values = {name: value for name, value in fields.items() if not isinstance(value, Mapping) and value is not None}
    # JSON writes strings, numbers, booleans and lists of them as TOML does; published figures are left to the file.
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if name != "published"]
    for name, value in fields.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{table}{name}]", *_toml(value, f"{table}{name}.")]
    return lines


def _assign(fields: dict[str, Any], key: str, text: str) -> None:
    *tables, last = key.split(".")
    for table in tables:
        inner = fields.setdefault(table, {})
        if not isinstance(inner, dict):
            raise UsageError(f"field {key!r}: {table!r} is a value, not a table")
        fields = inner
    fields[last] = _value(text)


def _value(text: str) -> Any:
    # Words and numbers stay text: the field's type decides what they are. Lists and quoted text are written as in TOML.
    if text.startswith(("[", '"', "'")):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


@cache
def _validator() -> TypeAdapter[Preset]:
    return TypeAdapter(Preset)


def _unknown_fields(kind: type, fields: Mapping[str, Any], prefix: str = "") -> list[str]:
    hints = typing.get_type_hints(kind)
    known = [entry.name for entry in dataclasses.fields(kind)]
    mistakes = []
    for name, value in fields.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            mistakes.append(f"unknown field {prefix}{name}; {hint}")
            continue
        inner, many = _table_of(hints[name])
        if inner is None:
            continue
        for each in value if many and isinstance(value, list) else [value]:
            if isinstance(each, Mapping):
                mistakes += _unknown_fields(inner, each, f"{prefix}{name}.")
    return mistakes


def _table_of(hint: Any) -> tuple[type | None, bool]:
    """The dataclass a field holds, if it does, and whether it holds several."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint, False
    for inner in typing.get_args(hint):
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            return inner, not isinstance(hint, types.UnionType)
    return None, False


def _inconsistencies(preset: Preset) -> list[str]:
    """Mistakes that only show once the fields are read together."""
    mistakes = []
    try:
        schedule = schedules.parse(preset.optimizer.schedule)
    except UsageError as error:
        mistakes.append(f"optimizer.schedule: {error}")
    else:
        if schedule.shortest > preset.epochs:
            mistakes.append(
                f"optimizer.schedule: {schedule} needs at least {schedule.shortest} epochs, got {preset.epochs}"
            )
    if late := [epoch for epoch in preset.keep_predictions if epoch > preset.epochs]:
        mistakes.append(f"keep_predictions: there is no epoch {late[0]} of {preset.epochs}")
    if preset.metric.name not in MEASURES:
        mistakes.append(f"metric.name: {unknown('metric', preset.metric.name, MEASURES)}")
    if preset.model.pretrained and preset.data.tokenizer != preset.model.pretrained:
        mistakes.append(f"data.tokenizer: published weights read their own word pieces, {preset.model.pretrained}")
    if preset.optimizer.momentum and preset.optimizer.name != "sgd":
        mistakes.append(f"optimizer.momentum is an option of sgd, not of {preset.optimizer.name}")
    if preset.optimizer.redraw == "val" and not preset.data.validation:
        mistakes.append("optimizer.redraw: there are no validation rows to redraw by; set data.validation")
    if preset.optimizer.nesterov and not preset.optimizer.momentum:
        mistakes.append("optimizer.nesterov needs optimizer.momentum above 0")
    return mistakes
