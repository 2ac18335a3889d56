"""Where lines meant for the user go."""

from __future__ import annotations

from rich.console import Console

from darkknowledge.contract import Report
from darkknowledge.transfer import printable


def error_stream() -> Console:
    """The error stream, beside whatever is drawn there; no ``:name:`` becomes a picture."""
    return Console(stderr=True, emoji=False)


def reporter(console: Console | None = None) -> Report:
    """Prints each line as it is, but for what commands a terminal: it may quote a file."""
    stream = console or error_stream()
    return lambda line: stream.print(printable(line), highlight=False, markup=False, emoji=False, soft_wrap=True)
