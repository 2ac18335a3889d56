"""How numbers are written on the pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from darkknowledge.analysis import Interval, Summary

NOTHING = "–"


def number(value: float, digits: int = 1) -> str:
    """With a minus sign that is one, and no negative zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def short(value: float) -> str:
    """A setting or a median: no more digits than it has."""
    return f"{value:g}".replace("-", "−")


def interval(found: Interval | None, digits: int = 1, *, scale: float = 1.0) -> str:
    """``a to b``."""
    return NOTHING if found is None else f"{number(found.low * scale, digits)} to {number(found.high * scale, digits)}"


def mean(found: Summary | None, digits: int = 1) -> str:
    """``mean ± sd``; the mean alone where there is one value."""
    if found is None:
        return NOTHING
    return number(found.mean, digits) + (f" ± {number(found.sd, digits)}" if found.sd is not None else "")


def probability(p: float | None) -> str:
    """Two digits; what a float64 cannot tell from 0 is a bound."""
    if p is None:
        return "n/a"
    return "p < 1e-15" if p < 1e-15 else f"p = {p:.2g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a cell may hold neither a bar nor a line break."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in line)} |" for line in lines)


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
