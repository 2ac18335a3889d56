"""The runs on the terminal. A file of its own, because a list needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from darkknowledge.pipeline.list import RunSummary
from darkknowledge.transfer import printable


def show_runs(runs: Sequence[RunSummary], root: Path, console: Console) -> None:
    """A line a run."""
    if not runs:
        console.print(f"no runs under {root}", highlight=False, markup=False, soft_wrap=True)
        return
    # A run's path is what the next command needs, so it is folded and never cut short.
    table = Table(Column("run", overflow="fold"), "kind", "status", "data", "network", "seed", "validation", "test", "started")
    for run in runs:
        scores = ("" if accuracy is None else f"{accuracy:.2%}" for accuracy in (run.validation_accuracy, run.test_accuracy))
        seed = "" if run.seed is None else str(run.seed)
        cells = (str(run.path), run.kind, run.status, run.data, run.network, seed, *scores, run.started)
        table.add_row(*(escape(printable(cell)) for cell in cells))
    console.print(table)
