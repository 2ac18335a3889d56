"""One run of a benchmark: its options, what it prints, and the record that it leaves."""

from __future__ import annotations

import json
import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console, RenderableType

from benchmarks._measuring.comparison import Comparison
from benchmarks._measuring.timing import REPEATS
from darkknowledge.runs.environment import environment
from darkknowledge.runs.files import write_json

PEERS = ("liger-kernel", "torchdistill", "datasets", "matplotlib")
QUICK_REPEATS = 3


class Run:
    """What a benchmark is given. Every part is printed and written as soon as it is there, so that a run cut short leaves what it had.

    Args:
        name: the benchmark's name in the registry.
        repeats: rounds; None stands for the benchmark's own number (30, unless it says otherwise), and for 3 in a quick run.
        quick: tiny sizes that show that all works; the numbers mean nothing.
        out: the JSON file to write; None writes none.
        data: the folder of the data, for a benchmark that needs some.
    """

    def __init__(
        self, name: str, *, repeats: int | None = None, quick: bool = False, out: Path | None = None, data: Path | None = None,
        console: Console | None = None,
    ) -> None:  # fmt: skip
        self.name, self.quick, self.out, self.data = name, quick, out, data
        self.asked = repeats
        self.console = console if console is not None else wide_console()
        self.parts: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}

    @property
    def repeats(self) -> int:
        """Rounds of a benchmark in which 30 are usual."""
        return self.rounds(REPEATS)

    def rounds(self, usual: int) -> int:
        """As many as were asked for; else 3 in a quick run; else what is ``usual`` for the benchmark."""
        return self.asked or (QUICK_REPEATS if self.quick else usual)

    def add(self, part: str, found: Comparison | dict[str, Any], *, shown: RenderableType | None = None) -> None:
        """One part of the record; ``shown`` is printed in place of a comparison's own table."""
        self.parts[part] = found.as_json() if isinstance(found, Comparison) else found
        if shown is None:
            shown = found.table(part) if isinstance(found, Comparison) else f"{part}: {json.dumps(found, ensure_ascii=False)}"
        self.console.print(shown)
        if isinstance(found, Comparison):
            self.note(str(found.noise), loud=bool(found.noise.reasons))
        self.write()

    def note(self, text: str, *, loud: bool = False) -> None:
        """A line for whoever looks on."""
        self.console.print(text, style="bold yellow" if loud else None, markup=False, highlight=False)

    def peer(self, module: str, *, package: str) -> ModuleType | None:
        """A module of another library, or None, said loudly and written down, where it is not installed."""
        try:
            return import_module(module)
        except ImportError as error:
            reason = f"{package} cannot be imported ({error}); get it with: uv run --group bench python -m benchmarks {self.name}"
            if package not in self.skipped:
                self.note(f"SKIPPED: {reason}", loud=True)
            self.skipped[package] = reason
            return None

    def as_json(self) -> dict[str, Any]:
        """The record: what was run, what came out, and where."""
        return {
            "benchmark": self.name,
            "quick": self.quick,
            "skipped": self.skipped,
            "results": self.parts,
            "environment": {**environment(), "peers": _versions(), "load": [round(load, 2) for load in os.getloadavg()]},
        }

    def write(self) -> None:
        """Write what is there so far."""
        if self.out is not None:
            write_json(self.out, self.as_json())


def wide_console() -> Console:
    """The terminal, or a width that holds the tables where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=180)


def _versions() -> dict[str, str]:
    found = {}
    for package in PEERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
