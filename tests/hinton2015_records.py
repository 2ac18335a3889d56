"""Made-up records of the MNIST experiments: what a run was stands in the plan, and its numbers are given, or follow a rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.hinton2015.report.bars import bars
from benchmarks.hinton2015.report.provenance import planned
from benchmarks.hinton2015.report.records import SELECTION, Records, read

TEACHER, ALONE, SOFT = (66, 68, 67, 70, 69), (146, 150, 142, 148, 144), (74, 75, 73, 76, 72)
"""Of the seeds 0 to 4, near the paper's 67, 146 and 74."""
MACHINE = {"processor": "Abacus", "cores": 2, "python": "3.11.7", "darkknowledge": "0.1.0", "torch": "2.15.0", "numpy": "2.4.6"}


def keep(folder: Path, name: str, errors: int, /, **changes: Any) -> None:
    """The record of a run of the plan as the experiments leave it, but for ``changes``. Teachers of it that have none get one."""
    own = planned()[name]
    for teacher in own.teachers:
        if not (folder / f"{teacher}.json").exists():
            keep(folder, teacher, 68)
    record = {
        **own.note,
        "stamp": own.stamp,
        "weights": "last",
        "errors": errors,
        "examples": 10_000,
        "nll": 0.05,
        "ece": 0.004,
        "core_seconds": 90.0,
        "wrong": misread(range(errors), split=own.note["split"]),
        "model_fingerprint": fingerprint(name),
        "model_fingerprints" if own.note["arm"] == "ten" else "teacher_fingerprints": [fingerprint(teacher) for teacher in own.teachers],
        "made_with": MACHINE,
    }
    write(folder, name, record | changes)


def diverge(folder: Path, name: str) -> None:
    """The record of one whose loss was no longer finite."""
    own = planned()[name]
    write(folder, name, {**own.note, "stamp": own.stamp, "weights": "last", "diverged": True})


def write(folder: Path, name: str, record: Mapping[str, Any]) -> None:
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")


def misread(pictures: Iterable[int], *, split: str = "test") -> dict[str, int]:
    """These pictures of a split, all taken for a 3."""
    first = 60_000 if split == "test" else 0
    return {str(first + picture): 3 for picture in pictures}


def fingerprint(name: str) -> str:
    return f"weights of {name}"


def keep_seeds(folder: Path, names: str, errors: Sequence[int], **changes: Any) -> None:
    """A record for each seed, which ``names`` holds a place for."""
    for seed, own in enumerate(errors):
        keep(folder, names.format(seed), own, **changes)


def keep_temperatures(folder: Path, width: int, errors: Mapping[float, Sequence[int]]) -> None:
    for temperature, own in errors.items():
        keep_seeds(folder, f"temperature/{width}-{{}}/T{temperature:g}", own)


def headline(folder: Path) -> None:
    """P1, P2 and P3."""
    keep_seeds(folder, "teacher/{}", TEACHER)
    keep_seeds(folder, "alone/800-{}", ALONE)
    keep_seeds(folder, "soft/800-{}/T20", SOFT)


Note = Mapping[str, Any]
Rule = Callable[[Note], float]
RULES: Mapping[str, Rule] = {
    "teacher": lambda of: TEACHER[of["seed"] % 5],
    "ten": lambda of: 58,
    "alone": lambda of: ALONE[of["seed"]] if of["width"] == 800 else 400 - of["width"] + of["seed"],
    "alone-jitter": lambda of: 80 + of["seed"],
    "alone-dropout": lambda of: 118 + of["seed"],
    "soft": lambda of: SOFT[of["seed"]],
    "soft-views": lambda of: 66 + of["seed"],
    "soft-ten": lambda of: 72 + of["seed"],
    "soft-ten-views": lambda of: 60 + of["seed"],
    "temperature": lambda of: {
        30: 300 + 20 * abs(of["temperature"] - 3) ** 0.5 + of["seed"] * round(of["temperature"]) % 7,
        100: 160 + of["seed"],
        300: 100 - of["temperature"] / 8 + of["seed"],
    }[of["width"]],
    "few-hard": lambda of: 150 + 10 / of["share"] + of["seed"],
    "few-soft": lambda of: 90 + 2 / of["share"],
    "grid": lambda of: 130 - 20 * of["alpha"] + abs(of["temperature"] - 8) + of["seed"],
    "views": lambda of: 120 - of["views"] + of["seed"],
}
"""Errors of a run by what it was; no bar looks at the arms that are not here. They meet every bar but two of P3b's."""


def everything(folder: Path) -> None:
    """A record for every name of the plan, the selection left aside."""
    for name, note in experiments().items():
        errors = round(RULES[note["arm"]](note)) if note["arm"] in RULES else 100 + note["seed"]
        last = {"errors_of_last_epoch": errors + 9} if note["arm"] == "few-hard" else {}
        keep(folder, name, errors, **last)


def experiments() -> Mapping[str, Note]:
    """The notes of the runs of the plan by name, the selection left aside."""
    return {name: own.note for name, own in planned().items() if not name.startswith(SELECTION)}


def found(folder: Path) -> Records:
    return read(folder)[0]


def verdicts(folder: Path) -> dict[tuple[str, str], str]:
    return {(bar.row, bar.wants): bar.verdict for bar in bars(found(folder))}
