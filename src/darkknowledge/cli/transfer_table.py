"""What a transfer set is, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from darkknowledge.transfer import Description


def show_transfer_set(found: Description, console: Console) -> None:
    """What it belongs to, its size, and how soft its targets are."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(found):
        facts.add_row(name, escape(value))
    console.print(facts)
