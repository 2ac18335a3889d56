"""What a hostile file is, and the pickles that run something; the files themselves are beside this one, a kind of them in each."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pickle
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkknowledge.cli.main import main
from darkknowledge.errors import DarkKnowledgeError

Opened = Callable[[Path], object]

PLACE = "runs"
"""The folder, beside the hostile file or above it, in which whoever opens it may write."""


@dataclass(frozen=True)
class Hostile:
    """A file, or a folder of them, by somebody who wants more than to be read.

    ``build`` makes it in an empty folder, ``open`` reads it with a public function or a command, whose exit code it returns. ``refused`` is the error
    that it gets, whose message ``says`` so; None where the harmless rest is read and what is hostile passed over.
    """

    name: str
    build: Opened
    open: Opened
    refused: type[DarkKnowledgeError] | None = None
    says: str = ""


class Calls:
    """An object whose pickle is a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


WAYS: dict[str, Callable[[Path], Calls]] = {
    "os.system": lambda ran: Calls(os.system, f"touch {ran}"),
    "exec": lambda ran: Calls(exec, f"open({str(ran)!r}, 'w')"),
    "eval": lambda ran: Calls(eval, f"open({str(ran)!r}, 'w')"),
    "a process": lambda ran: Calls(subprocess.check_call, ["touch", str(ran)]),
    "a file": lambda ran: Calls(Path.touch, ran),
    "an import": lambda ran: Calls(importlib.import_module, "ran"),
}
"""Calls that leave a file, by what they use."""


def harm(folder: Path, what: str = "os.system") -> Calls:
    """One that leaves ``RAN`` in the folder."""
    return WAYS[what](folder / "RAN")


def pickled(folder: Path, what: str = "os.system", protocol: int = 2) -> bytes:
    """A bare pickle that does it."""
    return pickle.dumps(harm(folder, what), protocol)


def command(*words: str) -> Opened:
    """Such as ``dk``, in the folder; its exit code."""
    return lambda folder: main(words)


QUIET = ("training.threads=1", "logging.progress=false", f"out={PLACE}/new")
TRAIN = ("train", "model.hidden=[2]", "training.steps=1", *QUIET)
DISTILL = ("distill", "student.hidden=[2]", "training.steps=1", *QUIET)
RECORD = ("record", "threads=1", "progress=false", f"out={PLACE}/new")


def vouched(folder: Path, *names: str) -> None:
    """Somebody who knows how puts the manifest right."""
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256((folder / name).read_bytes())} for name in names}
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": files}))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def nested(depth: int) -> str:
    """A JSON list in a list in a list …"""
    return "[" * depth


def later(make: Callable[[], Opened]) -> Opened:
    """What takes a while to make, not before it is needed."""
    return lambda folder: make()(folder)


def made(make: Opened, path: Path) -> None:
    """What ``make`` makes at a path: after the first time as a copy, which waits for no disk."""
    if make not in _MADE:
        make(path)
        _MADE[make] = {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for name, content in _MADE[make].items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


_MADE: dict[Opened, dict[str, bytes]] = {}


def empty_of(size: int) -> Callable[[Path], None]:
    """A file of that size, which takes no space."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make
