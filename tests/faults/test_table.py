"""docs/reliability.md: its 45 faults, and that each row is true of the tests and the source that it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from benchmarks.faults.__main__ import COUNTS

from darkknowledge import errors

ROOT = Path(__file__).parents[2]
TESTS, SOURCE = ROOT / "tests", ROOT / "src" / "darkknowledge"
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
CLASSES = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.DarkKnowledgeError)}
CODES = {name: {130, 143} if kind is errors.Interrupted else {kind.exit_code} for name, kind in CLASSES.items()}
GOES_ON, NONE = "goes on", "n/a"


@dataclass(frozen=True)
class Row:
    """A fault, the messages that are quoted, the exit codes, and where it is shown."""

    number: int
    fault: str
    said: str
    outcomes: tuple[str, ...]
    shown_by: tuple[str, ...]

    @classmethod
    def read(cls, line: str) -> Row:
        number, fault, said, code, shown = (cell.strip() for cell in line.strip("|").split("|"))
        return cls(int(number), fault, said, tuple(code.split("; ")), tuple(name.strip("`") for name in shown.split(", ")))

    @property
    def quoted(self) -> list[str]:
        return re.findall(r"`([^`]+)`", self.said)

    @property
    def codes(self) -> set[int]:
        return {int(outcome) for outcome in self.outcomes if outcome.isdecimal()}

    @property
    def tests(self) -> list[tuple[str, str]]:
        return [(file, name) for file, _, name in (shown.partition("::") for shown in self.shown_by) if name]


ROWS = [Row.read(line) for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]
each = pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def functions(path: Path) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in parsed(path).body if isinstance(node, ast.FunctionDef)}


def texts(node: ast.AST) -> Iterator[str]:
    """The strings of some code, those of f-strings with … in the place of what is filled in; without the backslashes of patterns."""
    inner = {id(part) for joined in ast.walk(node) if isinstance(joined, ast.JoinedStr) for part in joined.values}
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            yield "".join(str(value.value) if isinstance(value, ast.Constant) else "…" for value in part.values).replace("\\", "")
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in inner:
            yield part.value.replace("\\", "")


@cache
def source_texts() -> list[str]:
    return [text for path in sorted(SOURCE.rglob("*.py")) for text in texts(parsed(path))]


@cache
def raised() -> list[tuple[str, str]]:
    """What the source says in an error of ours, with the error's name."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for function in (node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)):
            nodes = list(ast.walk(function))
            named = {node.targets[0].id: node.value for node in nodes if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
            for call in nodes:
                if isinstance(call, ast.Call) and call.args and isinstance(call.func, ast.Name) and call.func.id in CLASSES:
                    said = call.args[0]
                    said = named.get(said.id, said) if isinstance(said, ast.Name) else said
                    found += [(text, call.func.id) for text in texts(said)]
    return found


def holds(text: str, quoted: str) -> bool:
    """Whether a text says what is quoted, with anything in the place of …, as long as both say something there."""
    pattern = ".*".join(re.escape(piece.strip()) for piece in quoted.split("…"))
    return re.search(pattern, text, re.DOTALL) is not None


def spoken_in(row: Row) -> list[str]:
    """The strings of the tests of a row, and of the tables that stand above them."""
    found = []
    for file, name in row.tests:
        path = TESTS / file
        tables = [node for node in parsed(path).body if isinstance(node, ast.Assign | ast.AnnAssign)]
        found += [text for node in (functions(path)[name], *tables) for text in texts(node)]
    return found


def test_there_are_forty_five_faults_in_their_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 46))
    assert len({row.fault for row in ROWS}) == 45


@each
def test_what_shows_it_is_there(row: Row) -> None:
    assert row.tests
    for shown in row.shown_by:
        if "::" not in shown:
            assert re.fullmatch(rf"benchmarks faults ({'|'.join(COUNTS)})", shown), shown
    missing = [f"{file}::{name}" for file, name in row.tests if not (TESTS / file).is_file() or name not in functions(TESTS / file)]
    assert missing == []


@each
def test_what_is_quoted_is_said_and_a_test_of_the_row_listens_for_it(row: Row) -> None:
    heard = spoken_in(row)
    for quoted in (quoted for quoted in row.quoted if not re.fullmatch(r"dk [a-z ]+|\w+\.json", quoted)):
        assert any(holds(text, quoted) for text in heard), f"no test of the row listens for {quoted!r}"
        pieces = [piece.strip(" :,;") for piece in quoted.split("…") if piece.strip(" :,;")]
        assert any(pieces[0] in text or holds(text, quoted) for text in [*source_texts(), *heard])


@each
def test_the_exit_codes_are_those_of_the_errors_that_say_so(row: Row) -> None:
    assert all(outcome in (GOES_ON, NONE) or int(outcome) in set().union(*CODES.values()) for outcome in row.outcomes)
    for quoted in row.quoted:
        names = {name for text, name in raised() if holds(text, quoted)}
        if names:
            assert any(CODES[name] & row.codes for name in names), f"{quoted!r} is said by {names}, not with {row.outcomes}"


def test_every_exit_code_of_an_error_is_met() -> None:
    met = set().union(*(row.codes for row in ROWS))
    assert met == set().union(*CODES.values()) - {errors.DarkKnowledgeError.exit_code}
    listed = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8").partition("## Exit codes")[2]
    assert all(str(code) in listed for code in met)
