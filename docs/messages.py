"""Every message of the program with what to do about it, by exit code, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from darkknowledge import errors

MEANINGS = {
    errors.UsageError: "a key, a value or a combination that makes no sense",
    errors.DataError: "data that are missing, unreadable or not what they should be",
    errors.IntegrityError: "a file that is not the one that was written, or a pairing that does not fit",
    errors.ResourceError: "disk, permission, memory, a missing package",
    errors.DivergedError: "the loss, a gradient or a weight is no longer finite",
    errors.BusyError: "somebody else is at work in the folder",
    errors.Interrupted: "the run was asked to stop, and its state is saved",
}
NAMES = {kind.__name__: kind for kind in MEANINGS}


@dataclass(frozen=True, order=True, slots=True)
class Message:
    """What is said, with … for what is filled in, what may be done, and which error it is."""

    what: str
    fix: str
    kind: str


def messages(source: Path) -> list[Message]:
    """Those of every error that the source makes and that says something of its own."""
    found = set()
    for path in sorted(source.rglob("*.py")):
        for function in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)):
            found |= set(_of_function(function))
    return sorted(found, key=lambda message: message.what.casefold().strip("…' "))


def _of_function(function: ast.FunctionDef) -> Iterator[Message]:
    nodes = list(ast.walk(function))
    named = {node.targets[0].id: node.value for node in nodes if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
    for call in nodes:
        if isinstance(call, ast.Call) and call.args and isinstance(call.func, ast.Name) and call.func.id in NAMES:
            said = {keyword.arg: keyword.value for keyword in call.keywords}
            for what in _texts(call.args[0], named):
                fixes = list(_texts(said["fix"], named)) if "fix" in said else []
                if any(letter.isalpha() for letter in what):
                    yield Message(what, next((fix for fix in fixes if any(map(str.isalpha, fix))), ""), call.func.id)


def _texts(node: ast.expr, named: dict[str, ast.expr]) -> Iterator[str]:
    """The texts that an expression may be, in one line each."""
    match node:
        case ast.Constant(value=str(text)):
            yield " ".join(text.split())
        case ast.JoinedStr():
            yield " ".join("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values).split())
        case ast.Name() if node.id in named:
            yield from _texts(named[node.id], {})
        case ast.IfExp():
            yield from _texts(node.body, named)
            yield from _texts(node.orelse, named)
        case ast.Call(func=ast.Name(id="close_match")):
            yield "the nearest name, and all that there are"


def tables(source: Path) -> Iterator[str]:
    """A section of Markdown for each exit code."""
    every = messages(source)
    for kind, meaning in MEANINGS.items():
        code = "130 and 143" if kind is errors.Interrupted else kind.exit_code
        yield from (f"### Exit code {code}", "", f"{meaning[0].upper()}{meaning[1:]}.", "")
        rows = [message for message in every if message.kind == kind.__name__]
        if rows:
            yield from ("| what is said | what to do |", "|---|---|")
            yield from (f"| {_cell(row.what)} | {_cell(row.fix)} |" for row in rows)
            yield ""


def _cell(text: str) -> str:
    """Text in a table of Markdown, letter by letter."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|~$" else letter for letter in text)
