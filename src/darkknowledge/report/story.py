"""What a page tells of, as plain values and tensors: the networks of a comparison, what they answered and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from darkknowledge.analysis import Calibration, Cost, correct, measure_calibration
from darkknowledge.contract import IGNORED, Average
from darkknowledge.report.text import finite

PICTURES = "pictures-test.safetensors"
"""Thumbnails of some test pictures: ``ids`` (K,) and ``pictures`` (K, C, H, W) uint8."""
TEACHER = "teacher-test.safetensors"
"""A teacher's answers to the test split, beside those of the students that it taught."""

LEAST, MOST = 0.01, 1e4
"""Temperatures at which soft targets can be looked at."""
USUAL_TEMPERATURE = 4.0
"""Where soft targets are looked at when no student was distilled at a temperature."""


@dataclass(frozen=True)
class Answers:
    """Logits (N, C) for the examples with these ids and labels (N,), and of an ensemble the members' (M, N, C) with their weights (M,)."""

    ids: Tensor
    labels: Tensor
    logits: Tensor
    members: Tensor | None = None
    weights: Tensor | None = None

    @cached_property
    def right(self) -> Tensor:
        """For each labelled example whether the answer is right."""
        return correct(self.logits, self.labels)

    @cached_property
    def calibration(self) -> Calibration:
        """How far the probabilities can be believed."""
        return measure_calibration(self.logits, self.labels)

    @cached_property
    def first(self) -> Tensor:
        """The most probable class of each example."""
        return self.logits.argmax(-1)

    @property
    def errors(self) -> int:
        """Labelled examples answered wrongly."""
        return int((~self.right).sum())

    @property
    def labelled(self) -> int:
        """Examples with a label."""
        return int((self.labels != IGNORED).sum())


@dataclass(frozen=True, slots=True)
class Network:
    """One network, or one teacher of several, as its folder tells of it.

    ``settings`` and ``record`` are those of its run; ``metrics`` the records of its training. ``fitted`` is the scalar temperature that was fitted on
    the validation split. Where ``answers`` are None, ``absent`` says why.
    """

    name: str
    path: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    answers: Answers | None = None
    absent: str = ""
    fitted: float | None = None
    cost: Cost | None = None
    class_names: tuple[str, ...] = ()

    @property
    def seed(self) -> int | None:
        """Of the run."""
        found = setting(self.settings, "training.seed")
        return found if isinstance(found, int) else None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the network; empty where the record says none."""
        found = self.record.get("model_fingerprint")
        return found if isinstance(found, str) else ""

    @property
    def taught_by(self) -> tuple[str, ...]:
        """The fingerprints of the members of its teacher."""
        found = self.record.get("teacher_fingerprints")
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


@dataclass(frozen=True, slots=True)
class Story:
    """A teacher, and the same student alone and distilled, a network for each seed; any of them may be missing."""

    title: str
    data: str
    class_names: tuple[str, ...]
    teacher: Network | None
    teachers: tuple[Network, ...]
    """The members of the teacher as they were trained, where their folders are known."""
    alone: tuple[Network, ...]
    distilled: tuple[Network, ...]
    average: Average = "probability"
    pictures: Mapping[int, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What could not be read, and why."""

    @property
    def temperature(self) -> float:
        """At which the student was distilled."""
        found = finite(setting(self.distilled[0].settings, "objective.temperature")) if self.distilled else None
        return found if found is not None and LEAST <= found <= MOST else USUAL_TEMPERATURE

    @property
    def arms(self) -> list[tuple[str, str, tuple[Network, ...]]]:
        """Kind, name and networks of whoever there is to compare, the measured ones."""
        arms = [("teacher", "teacher", (self.teacher,) if self.teacher else ()), ("alone", "student alone", self.alone)]
        arms.append(("distilled", "student distilled", self.distilled))
        measured = [(kind, name, tuple(network for network in networks if network.answers)) for kind, name, networks in arms]
        return [arm for arm in measured if arm[2]]

    def answers(self, kind: str) -> Answers | None:
        """Those of the first network of a kind: ``teacher``, ``alone`` or ``distilled``."""
        return next((networks[0].answers for found, _, networks in self.arms if found == kind), None)

    def absent(self, kind: str) -> str:
        """Why a kind has no answers."""
        networks = {"teacher": (self.teacher,) if self.teacher else (), "alone": self.alone, "distilled": self.distilled}[kind]
        who = {"teacher": "teacher", "alone": "student alone", "distilled": "distilled student"}[kind]
        return networks[0].absent if networks else f"no {who} is among the runs of this page"


def setting(settings: Mapping[str, Any], name: str) -> Any:
    """The value under a dotted name; None where there is none."""
    found: Any = settings
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every setting under its dotted name."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
