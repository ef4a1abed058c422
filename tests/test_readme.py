"""Every console block of the README, run: the commands that train for real, the ones that read on a store that is
committed beside this test, so that what they print can be compared to the letter.

    UPDATE_README=1 pytest tests/test_readme.py     writes what the commands print into README.md
"""

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lossbench.cohort._compiling import kernels
from lossbench.home import Home

README = Path(__file__).parents[1] / "README.md"
TOUR = Path(__file__).parent / "fixtures" / "tour.jsonl.gz"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRAINS = ("run", "sweep")


@dataclass(frozen=True)
class Step:
    """One command of a console block and what the README says it prints."""

    command: str
    printed: str

    @property
    def trains(self) -> bool:
        return shlex.split(self.command)[1] in TRAINS


def steps(text: str) -> Iterator[Step]:
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield Step(command, printed)


def ran(step: Step, home: Home) -> str:
    """What the command prints on both streams, as in an 80-column terminal without colour."""
    arguments = shlex.split(step.command)
    assert arguments[0] == "lossbench"
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LOSSBENCH_HOME": str(home.root), "NO_COLOR": "1", "COLUMNS": "80"},
        check=False,
    )
    return ended.stdout


def shape(printed: str) -> str:
    """What a training command prints, without what depends on the machine: numbers, ids and times."""
    printed = re.sub(r"^[0-9a-z]{10}$", "RUN", printed, flags=re.MULTILINE)
    return re.sub(r"started as \w+", "started as RUN", re.sub(r"\d+(:\d+)*(\.\d+)?", "0", printed))


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    """The README's machine has trained before: what the first run of a small network says is told in its text."""
    kernels(torch.float32)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that holds the sweep the README tells of."""
    home = Home(tmp_path_factory.mktemp("tour") / ".lossbench")
    home.create()
    lines = gzip.decompress(TOUR.read_bytes())
    # A journal is named after the attempt that wrote it.
    (home.journals / f"{json.loads(lines.splitlines()[0])['attempt']}.jsonl").write_bytes(lines)
    return home


@pytest.mark.skipif("UPDATE_README" not in os.environ, reason="writes README.md; set UPDATE_README=1")
def test_update(tour: Home, tmp_path: Path) -> None:
    fresh = Home(tmp_path / ".lossbench")

    def replaced(block: re.Match[str]) -> str:
        parts = steps(block.group())
        return (
            "```console\n"
            + "".join(f"$ {step.command}\n{ran(step, fresh if step.trains else tour)}" for step in parts)
            + "```"
        )

    README.write_text(BLOCK.sub(replaced, README.read_text()))
    assert list(steps(README.read_text()))


@pytest.mark.parametrize("step", list(steps(README.read_text())), ids=lambda step: step.command)
def test_the_readme_shows_what_is_printed(step: Step, tour: Home, tmp_path: Path) -> None:
    if step.trains:
        assert shape(ran(step, Home(tmp_path / ".lossbench"))) == shape(step.printed)
    else:
        assert ran(step, tour) == step.printed


def test_the_answers_at_the_top_are_those_the_tour_gives() -> None:
    text = README.read_text()
    answers = re.findall(r"^    (.+ pairs)$", text, re.MULTILINE)
    printed = "".join(step.printed for step in steps(text)).splitlines()
    assert answers
    assert [answer for answer in answers if answer not in printed] == []
