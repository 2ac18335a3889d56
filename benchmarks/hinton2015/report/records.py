"""The records of the runs: read, checked, and found by what a run was."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.hinton2015.report.provenance import require_planned, require_teachers
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.runs.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("test", "validation")
SETTINGS = ("width", "temperature", "alpha", "views", "share", "rate", "warmup", "epochs", "std", "input_dropout", "hidden_dropout")
"""What tells the runs of an arm from each other, besides the seed."""
SELECTION = "selection/"
FIRST_TEST_ID = 60_000
"""The ids of the test pictures follow those of the training pictures."""
CLASSES = 10


@dataclass(frozen=True, slots=True)
class What:
    """What a run was."""

    name: str
    arm: str
    split: str
    seed: int | None
    settings: Mapping[str, float | None]
    fingerprint: str | None = None
    """Of its weights."""
    teachers: tuple[str, ...] = ()
    """Fingerprints of the networks that it learned from."""
    made_with: Mapping[str, Any] = field(default_factory=dict)
    """Hardware and versions."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a run that came to its end was, and what it brought. ``wrong`` maps the id of a misread picture to the class that it is taken for."""

    what: What
    errors: int
    examples: int
    nll: float
    ece: float
    core_seconds: float
    wrong: Mapping[int, int]
    errors_of_last_epoch: int | None

    def correct(self) -> Tensor:
        """Which of the test pictures are right, (N,) bool.

        Raises:
            UsageError: a record of the validation split, whose pictures are not counted through.
        """
        import torch

        if self.what.split != "test":
            raise UsageError(f"{self.what.name} was measured on the {self.what.split} split", fix="compare pictures of the test split")
        right = torch.ones(self.examples, dtype=torch.bool)
        right[[picture - FIRST_TEST_ID for picture in self.wrong]] = False
        return right


@dataclass(frozen=True, slots=True)
class Records:
    """Runs in the order of their seeds; those that diverged have no numbers."""

    finished: tuple[Record, ...]
    diverged: tuple[What, ...] = ()

    def where(self, arm: str, *, seeds: Container[int | None] | None = None, **settings: float | None) -> Records:
        """The runs of an arm with these settings and, where they are given, one of these seeds."""

        def fits(what: What) -> bool:
            if what.arm != arm or (seeds is not None and what.seed not in seeds):
                return False
            return all(what.settings.get(name) == value for name, value in settings.items())

        return Records(tuple(record for record in self.finished if fits(record.what)), tuple(filter(fits, self.diverged)))

    def values(self, setting: str) -> list[float]:
        """The values that a setting has among them, ascending."""
        found = {record.what.settings.get(setting) for record in self.finished}
        return sorted(value for value in found if value is not None)

    @property
    def errors(self) -> list[int]:
        """Of each finished run."""
        return [record.errors for record in self.finished]

    @property
    def by_seed(self) -> dict[int | None, Record]:
        """The finished runs."""
        return {record.what.seed: record for record in self.finished}


def paired(*groups: Records) -> list[tuple[Record, ...]]:
    """The runs of several groups that share a seed, seed by seed.

    Raises:
        UsageError: the groups were measured on different splits.
    """
    splits = {record.what.split for group in groups for record in group.finished}
    if len(splits) > 1:
        names = ", ".join(group.finished[0].what.name for group in groups if group.finished)
        raise UsageError(f"runs measured on {' and '.join(sorted(splits))} are compared ({names})", fix="compare runs measured on one split")
    seeds = [set(group.by_seed) for group in groups]
    shared = [record.what.seed for record in groups[0].finished if all(record.what.seed in own for own in seeds)]
    return [tuple(group.by_seed[seed] for group in groups) for seed in shared]


def read(folder: Path) -> tuple[Records, Records]:
    """The records of the experiments below a folder, and those of the selection before them. A file that names no arm is no such record.

    Raises:
        IntegrityError: a record that cannot be read, contradicts itself or the plan, or does not belong to the others.
    """
    found = [record for path in sorted(folder.rglob("*.json")) if (record := _parsed(path, folder)) is not None]
    selection = [record for record in found if _what(record).name.startswith(SELECTION)]
    experiments = [record for record in found if not _what(record).name.startswith(SELECTION)]
    require_teachers(record.what for record in found if isinstance(record, Record))
    return _collected(experiments), _collected(selection)


def _what(record: Record | What) -> What:
    return record if isinstance(record, What) else record.what


def _collected(found: Iterable[Record | What]) -> Records:
    ordered = sorted(found, key=lambda record: (_what(record).seed or 0, _what(record).name))
    return Records(tuple(item for item in ordered if isinstance(item, Record)), tuple(item for item in ordered if isinstance(item, What)))


def _parsed(path: Path, folder: Path) -> Record | What | None:
    raw = read_json(path)
    if not isinstance(raw, dict) or "arm" not in raw:
        return None
    try:
        what = _parsed_what(raw)
        _require(f"{what.name}.json" == path.relative_to(folder).as_posix(), "name")
        found = what if raw.get("diverged") else _parsed_numbers(raw, what)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fix = "restore the file, or remove it and run the experiment again"
        raise IntegrityError(f"{path.name} is no record of a run: {error!r}", where=str(path), fix=fix) from error
    require_planned(what.name, raw)
    return found


def _parsed_what(raw: Mapping[str, Any]) -> What:
    given = {**raw, "rate": raw.get("rate", raw.get("training", {}).get("learning_rate"))}
    settings = {name: None if given[name] is None else _number(given[name]) for name in SETTINGS if name in given}
    seed = raw.get("seed")
    _require(seed is None or (type(seed) is int and seed >= 0), "seed")
    _require(raw["split"] in SPLITS, "split")
    _require(isinstance(raw["arm"], str) and isinstance(raw["name"], str), "arm or name")
    teachers = raw.get("teacher_fingerprints", raw.get("model_fingerprints", []))
    return What(raw["name"], raw["arm"], raw["split"], seed, settings, raw.get("model_fingerprint"), tuple(teachers), raw.get("made_with", {}))


def _parsed_numbers(raw: Mapping[str, Any], what: What) -> Record:
    errors, examples, last = raw["errors"], raw["examples"], raw.get("errors_of_last_epoch")
    _require(type(examples) is int and examples > 0, "examples")
    _require(type(errors) is int and 0 <= errors <= examples, "errors")
    _require(last is None or (type(last) is int and 0 <= last <= examples), "errors_of_last_epoch")
    wrong = {int(picture): label for picture, label in raw["wrong"].items()}
    first = FIRST_TEST_ID if what.split == "test" else 0
    limit = first + examples if what.split == "test" else FIRST_TEST_ID
    _require(len(wrong) == errors, "wrong, which names another number of pictures than errors,")
    _require(all(first <= picture < limit and type(label) is int and 0 <= label < CLASSES for picture, label in wrong.items()), "wrong")
    return Record(what, errors, examples, _number(raw["nll"]), _number(raw["ece"]), _number(raw.get("core_seconds", 0)), wrong, last)


def _number(value: Any) -> float:
    """Finite and not negative, as all of them are."""
    _require(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0, repr(value))
    return float(value)


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} does not hold")
