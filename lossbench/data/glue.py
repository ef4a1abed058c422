"""Seven tasks of GLUE (Wang et al., arXiv 1804.07461) as word pieces: does a sentence, or a pair, have a property?

Below the data folder, `glue/<TASK>/train.tsv` and `dev.tsv` are the publisher's files, or `glue/<TASK>_train.tsv` and
`glue/<TASK>_dev.tsv`; `.jsonl` files with the same fields are read too. Nothing in these files is quoted: a quotation
mark is a character. The dev part serves as test, as GLUE keeps the labels of its test parts to itself.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from lossbench.data.pieces import LENGTH, Texts, encoded
from lossbench.data.registry import register
from lossbench.data.types import Source, Split, Tables
from lossbench.errors import DataError

_ORIGIN = "https://gluebenchmark.com/tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """How one task's files are read; fields are named as in their first line."""

    title: str
    sentences: tuple[str, ...]
    label: str
    labels: tuple[str, ...]
    """In the files, in the order of the classes."""
    class_names: tuple[str, ...]
    rows: int
    dev_rows: int
    parts: tuple[str, ...] = ("dev",)
    """What the file with the test rows is called, the preferred name first."""
    header: tuple[str, ...] = ()
    """Of files that the publisher gives none."""


_ENTAILED = ("entailment", "not_entailment")
_TASKS = {
    "CoLA": _Task(
        title="CoLA, is a sentence grammatical",
        sentences=("sentence",),
        label="label",
        labels=("0", "1"),
        class_names=("unacceptable", "acceptable"),
        rows=9_594,
        dev_rows=1_043,
        header=("source", "label", "orig", "sentence"),
    ),
    "SST-2": _Task(
        title="SST-2, does a film review praise",
        sentences=("sentence",),
        label="label",
        labels=("0", "1"),
        class_names=("negative", "positive"),
        rows=68_221,
        dev_rows=872,
    ),
    "MRPC": _Task(
        title="MRPC, do two sentences say the same",
        sentences=("#1 String", "#2 String"),
        label="Quality",
        labels=("0", "1"),
        class_names=("different", "paraphrase"),
        rows=4_076,
        dev_rows=408,
        parts=("dev", "test"),  # the original set is divided into train and test
    ),
    "MNLI": _Task(
        title="MNLI, does a sentence follow from another, contradict it or neither; matched",
        sentences=("sentence1", "sentence2"),
        label="gold_label",
        labels=("contradiction", "entailment", "neutral"),
        class_names=("contradiction", "entailment", "neutral"),
        rows=402_517,
        dev_rows=9_815,
        parts=("dev_matched",),
    ),
    "QNLI": _Task(
        title="QNLI, does a sentence answer a question",
        sentences=("question", "sentence"),
        label="label",
        labels=_ENTAILED,
        class_names=_ENTAILED,
        rows=110_206,
        dev_rows=5_463,
    ),
    "RTE": _Task(
        title="RTE, does a sentence follow from another",
        sentences=("sentence1", "sentence2"),
        label="label",
        labels=_ENTAILED,
        class_names=_ENTAILED,
        rows=2_767,
        dev_rows=277,
    ),
    "WNLI": _Task(
        title="WNLI, what a pronoun refers to",
        sentences=("sentence1", "sentence2"),
        label="label",
        labels=("0", "1"),
        class_names=("not entailed", "entailed"),
        rows=706,
        dev_rows=71,
    ),
}


def _read(folder: Path, *, task: str, name: str) -> Tables:
    known = _TASKS[task]
    train = _rows(_file(folder, task, ("train",)), known)
    test = _rows(_file(folder, task, known.parts), known)
    sentences, labels = zip(*train, *test, strict=True)
    second = tuple(pair[1] for pair in sentences) if len(known.sentences) == 2 else None
    texts = Texts(first=tuple(pair[0] for pair in sentences), second=second, training_rows=len(train))
    numbers, target = torch.arange(len(labels)), torch.tensor(labels)
    return Tables(
        train=Split(inputs=numbers[: len(train)], target=target[: len(train)]),
        test=Split(inputs=numbers[len(train) :], target=target[len(train) :]),
        pieces=lambda tokenizer: encoded(texts, tokenizer, folder=folder, name=name),
        class_names=known.class_names,
    )


def _candidates(task: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        f"glue/{task}{between}{part}.{kind}" for kind in ("tsv", "jsonl") for between in "/_" for part in parts
    )


def _file(folder: Path, task: str, parts: tuple[str, ...]) -> Path:
    candidates = _candidates(task, parts)
    found = next((folder / each for each in candidates if (folder / each).is_file()), None)
    if found is None:
        raise DataError(
            f"{folder / candidates[0]} is missing; fetch the task from {_ORIGIN}, or name a folder that holds glue/ "
            "with --data-dir or LOSSBENCH_DATA"
        )
    return found


def _rows(path: Path, task: _Task) -> list[tuple[tuple[str, ...], int]]:
    """The sentences and the class of every row of one file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error
    # Splitting at every kind of line end would cut sentences that hold one of the rarer kinds.
    lines = [line.rstrip("\r") for line in text.split("\n")]
    records = _json_records if path.suffix == ".jsonl" else _records
    rows = []
    for number, record in records(path, [line for line in lines if line], task):
        if missing := [field for field in (*task.sentences, task.label) if field not in record]:
            raise DataError(f"{path}, row {number}: there is no field {missing[0]!r}, only {', '.join(record)}")
        if record[task.label] not in task.labels:
            raise DataError(f"{path}, row {number}: label {record[task.label]!r} is none of {', '.join(task.labels)}")
        rows.append((tuple(record[field] for field in task.sentences), task.labels.index(record[task.label])))
    if not rows:
        raise DataError(f"{path} holds no rows")
    return rows


def _records(path: Path, lines: list[str], task: _Task) -> Iterator[tuple[int, dict[str, str]]]:
    header = lines[0].split("\t") if lines else []
    bare = bool(task.header) and task.label not in header
    if bare:
        header = list(task.header)
    for number, line in enumerate(lines if bare else lines[1:], start=1):
        values = line.split("\t")
        if len(values) != len(header):
            raise DataError(f"{path}, row {number}: {len(values)} fields, expected {len(header)}: {', '.join(header)}")
        yield number, dict(zip(header, values, strict=True))


def _json_records(path: Path, lines: list[str], task: _Task) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, row {number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, row {number} is no object with the fields of a row")
        yield number, {str(field): str(value) for field, value in record.items()}


def _register(task: str) -> None:
    known, name = _TASKS[task], f"glue-{task.lower().replace('-', '')}"
    register(
        Source(
            name=name,
            title=known.title,
            kind="tokens",
            rows=known.rows,
            shape=(LENGTH, 0),
            classes=len(known.class_names),
            test_rows=known.dev_rows,
            licence="terms of the task's own authors",
            origin=_ORIGIN,
            layout=_candidates(task, ("train",)),
            kept=f"{name}/pieces-*.npz",
            files=(f"glue/{task}/*", f"glue/{task}_*", f"{name}/*"),
            read=partial(_read, task=task, name=name),
        )
    )


for _name in _TASKS:
    _register(_name)
