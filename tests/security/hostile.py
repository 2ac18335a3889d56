"""What a hostile file is, and the pickles that run something; the files themselves are in the three files beside this one."""

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

from darkknowledge.errors import DarkKnowledgeError

Opened = Callable[[Path], object]


@dataclass(frozen=True)
class Hostile:
    """A file, or a folder of them, by somebody who wants more than to be read.

    ``build`` makes it in an empty folder, ``open`` reads it with a public function or a command, whose exit code it returns. ``refused`` is the error
    that it gets; None where the harmless rest is read and what is hostile passed over.
    """

    name: str
    build: Opened
    open: Opened
    refused: type[DarkKnowledgeError] | None


class Calls:
    """An object whose pickle is a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


WAYS: dict[str, Callable[[Path], Calls]] = {
    "system": lambda ran: Calls(os.system, f"touch {ran}"),
    "exec": lambda ran: Calls(exec, f"open({str(ran)!r}, 'w')"),
    "eval": lambda ran: Calls(eval, f"open({str(ran)!r}, 'w')"),
    "process": lambda ran: Calls(subprocess.check_call, ["touch", str(ran)]),
    "touch": lambda ran: Calls(Path.touch, ran),
    "import": lambda ran: Calls(importlib.import_module, "ran"),
}
"""Calls that leave a file, by what they use."""


def harm(folder: Path, what: str = "system") -> Calls:
    """One that leaves ``RAN`` in the folder."""
    return WAYS[what](folder / "RAN")


def pickled(folder: Path, what: str = "system", protocol: int = 2) -> bytes:
    """A bare pickle that does it."""
    return pickle.dumps(harm(folder, what), protocol)


def vouched(folder: Path, *names: str) -> None:
    """Somebody who knows how puts the manifest right."""
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256((folder / name).read_bytes())} for name in names}
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": files}))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def nested(depth: int) -> str:
    """A JSON list in a list in a list …"""
    return "[" * depth
