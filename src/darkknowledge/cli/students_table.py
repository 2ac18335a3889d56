"""Several students on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from darkknowledge.pipeline._training import Outcome, Trained
from darkknowledge.pipeline.settings import DistillSettings


def show_students(outcomes: Sequence[Outcome], settings: Sequence[DistillSettings], console: Console) -> None:
    """A row a student: what it has of its own, its validation scores and where its run lies."""
    described = [
        _flat(each.model_dump(mode="json", include={"student", "objective", "training", "data", "teacher", "transfer"})) for each in settings
    ]
    every = list(dict.fromkeys(key for each in described for key in each))
    own = [key for key in every if len({str(each.get(key)) for each in described}) > 1]
    table = Table(*own, "validation", "best", Column("run", overflow="fold"))
    for outcome, each in zip(outcomes, described, strict=True):
        table.add_row(*(escape(_text(each.get(key))) for key in own), *_scores(outcome))
    console.print(table)


def _scores(outcome: Outcome) -> list[str]:
    if not isinstance(outcome, Trained):
        return ["diverged", "", escape(outcome.where)]
    return [*(f"{score.accuracy:.2%}" if score else "" for score in (outcome.last, outcome.best)), escape(str(outcome.path))]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``section.key`` for each value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(value)
