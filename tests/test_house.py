"""Rules of the house that no linter knows."""

import ast
import importlib
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lossbench"
MODULES = sorted(PACKAGE.rglob("*.py"))
SQL = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|CREATE (TABLE|VIEW)|DELETE FROM)\b", re.DOTALL)


def name_of(module: Path) -> str:
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def texts_in_code(tree: ast.Module) -> list[str]:
    """String constants other than docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_exports_exist(module: Path) -> None:
    loaded = importlib.import_module(name_of(module)) if module.name != "__main__.py" else None
    exported = getattr(loaded, "__all__", [])
    assert [name for name in exported if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_fit_in_a_head(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", [each for each in MODULES if "store" not in each.parts], ids=name_of)
def test_sql_lives_in_the_store(module: Path) -> None:
    assert [text for text in texts_in_code(ast.parse(module.read_text())) if SQL.search(text)] == []


@pytest.mark.parametrize("module", sorted((PACKAGE / "cli").glob("*.py")), ids=name_of)
def test_commands_only_parse_call_and_show(module: Path) -> None:
    tree = ast.parse(module.read_text())
    printing = {"terminal.py", "progress.py"}
    prints = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print"]
    assert not prints or module.name in printing
    if module.name not in printing | {"app.py"}:
        assert len(module.read_text().splitlines()) <= 160


def test_warnings_are_notes_not_python_warnings() -> None:
    users = [module for module in MODULES if "warnings.warn" in module.read_text()]
    assert users == []
