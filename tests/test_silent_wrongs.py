"""Every test that docs/silent_wrongs.md names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "silent_wrongs.md").read_text(encoding="utf-8")


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([^`]+\.py)::(test_[^`]+)`", PAGE)
    assert len(named) > 60
    missing = [file for file, _ in named if not (TESTS / file).is_file()]
    assert missing == []
    functions = {file: functions_of(TESTS / file) for file, _ in named}
    assert [f"{file}::{name}" for file, name in named if name not in functions[file]] == []


def test_every_pitfall_has_a_test_or_says_that_there_is_none() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 26
    for pitfall, _, tests in rows:
        assert tests.strip() == "–" or all(re.fullmatch(r"`[\w/]+\.py::test_\w+`", test) for test in tests.strip().split(", ")), pitfall
