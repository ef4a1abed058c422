"""The documents say what the program does: every command, exit code and extension point has its place."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from lossbench import __version__
from lossbench.cli import app, load
from lossbench.cli.sections import SECTIONS
from lossbench.errors import ExitCode

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
load()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_examples_and_a_mention(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert "Examples:" in text
    assert f"lossbench {name}" in text
    assert f"lossbench {name}" in README or f"`{name}`" in README


def test_the_list_of_commands_has_each_once_and_whole() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(COMMANDS)
    listed = subprocess.run(
        [sys.executable, "-m", "lossbench", "--help"],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "..." not in listed.stdout.partition("Train:")[2]


def test_the_table_of_exit_codes_is_the_programs() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.MULTILINE)
    assert rows == [(str(code.value), code.meaning) for code in ExitCode]


def test_links_into_the_repository_lead_somewhere() -> None:
    for document in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_module_runs_like_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "lossbench", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"lossbench {__version__}\n"


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
