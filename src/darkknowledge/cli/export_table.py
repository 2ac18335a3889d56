"""What an export and a prediction show on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from darkknowledge.pipeline.export import Exported
from darkknowledge.pipeline.predict import Predictions
from darkknowledge.transfer import printable

MOST_ROWS = 50
"""Inputs that are shown; a file takes any number."""


def show_exported(exported: Exported, console: Console) -> None:
    """A row a file, and where the folder lies."""
    table = Table(title=f"test split, {exported.results[0].examples:,} pictures")
    for name in ("file", "size", "errors", "accuracy", "95 % interval", "difference", "same class"):
        table.add_column(name, justify="left" if name == "file" else "right")
    for result in exported.results:
        low, high = (f"{100 * end:.2f}" for end in result.interval)
        cells = (f"{result.bytes / 1e6:.2f} MB", f"{result.errors:,}", f"{100 * result.accuracy:.2f} %", f"{low} to {high} %")
        table.add_row(result.file, *cells, f"{result.difference:.1e}", f"{result.same_class:,}")
    console.print(table)
    console.print("difference: the greatest one of a logit from the network's own, as a share of its largest logit", highlight=False)
    if exported.address is not None:
        console.print(f"pushed to: {exported.address}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"exported: {exported.path}", highlight=False, markup=False, soft_wrap=True)


def show_predictions(found: Predictions, console: Console, *, top: int) -> None:
    """A row an input: its most probable classes."""
    top = min(top, len(found.class_names))
    table = Table("input", *("class" if place == 0 else f"{place + 1}." for place in range(top)))
    values, classes = found.probabilities[:MOST_ROWS].topk(top)
    for name, row, numbers in zip(found.names, values.tolist(), classes.tolist(), strict=False):
        cells = [f"{found.class_names[index]}  {100 * value:.2f} %" for index, value in zip(numbers, row, strict=True)]
        table.add_row(*(Text(printable(cell)) for cell in (name, *cells)))
    console.print(table)
    if (more := len(found.names) - MOST_ROWS) > 0:
        console.print(f"and {more:,} more: out=FILE.csv writes all", highlight=False)
