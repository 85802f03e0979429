"""The shape of the package: small files and functions, and one class for one name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parents[2] / "harness"
FILES: Final = sorted(PACKAGE.rglob("*.py"))
LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
LONG_FILES: Final[frozenset[str]] = frozenset()
"""Files that are still longer."""
LONG_FUNCTIONS: Final[frozenset[str]] = frozenset()
"""Functions that are still longer, as `file:name`."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_no_file_has_more_than_400_lines() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name for name, count in lines.items() if count > LINES_MAX} == LONG_FILES


def test_no_function_has_more_than_70_lines() -> None:
    long = {
        f"{name_of(path)}:{node.name}"
        for path in FILES
        for node in nodes(path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert long == LONG_FUNCTIONS


def test_one_name_is_one_class() -> None:
    where: defaultdict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(name_of(path))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_says_what_it_is(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said
    assert "see above" not in path.read_text(encoding="utf-8").lower()
