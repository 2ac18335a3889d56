"""What a section of the page is made of: tables, figures and words. The template draws them; here is what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names the rows. ``search`` is the label of a field that filters the rows, ``folded`` what to click to see it."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: str = ""
    search: str = ""
    form: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Figures:
    """Drawings side by side under one caption."""

    drawings: Sequence[Markup]
    caption: str
    legend: Sequence[tuple[str, str]] = ()
    """Kind and name of what the colours stand for."""
    form: Literal["figures"] = "figures"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence."""

    text: str
    form: Literal["note"] = "note"


@dataclass(frozen=True, slots=True)
class Listing:
    """A text of many lines to unfold."""

    folded: str
    text: str
    form: Literal["listing"] = "listing"


@dataclass(frozen=True, slots=True)
class Special:
    """A part with a template of its own, ``explorer`` or ``gallery``, and what it shows."""

    form: Literal["explorer", "gallery"]
    values: Any


Block = Table | Figures | Note | Listing | Special


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page; ``lead`` says in a sentence or two what is to be seen."""

    name: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = field(default_factory=tuple)


def missing(name: str, title: str, reason: str) -> Section:
    """The section of which there is nothing to show."""
    return Section(name, title, blocks=(Note(f"n/a: {reason}."),))
