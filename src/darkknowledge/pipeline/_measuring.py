"""What a network answers on a split, and everything that is measured from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from darkknowledge.analysis import (
    Accuracy,
    Calibration,
    Cost,
    Fidelity,
    TemperatureFit,
    correct,
    fit_temperature,
    measure_accuracy,
    measure_calibration,
    measure_cost,
    measure_fidelity,
)
from darkknowledge.contract import IGNORED, Answer, Examples, Output, Teacher
from darkknowledge.model import Network
from darkknowledge.pipeline._materials import positions_of
from darkknowledge.runs.checked_json import write_checked
from darkknowledge.runs.files import Written, remove, write_bytes
from darkknowledge.transfer import TransferSet, require_same


@dataclass(frozen=True, slots=True)
class Answers:
    """Logits (N, C) at temperature 1 for the examples with these ids and labels (N,).

    Those of an ensemble hold the raw logits of its ``members`` (M, N, C) and their ``weights`` (M,) too.
    """

    ids: Tensor
    labels: Tensor
    logits: Tensor
    members: Tensor | None = None
    weights: Tensor | None = None

    def save(self, path: Path) -> Written:
        """Write them as safetensors."""
        tensors = {name: getattr(self, name) for name in ("ids", "labels", "logits", "members", "weights")}
        return write_bytes(path, to_safetensors({name: value.contiguous() for name, value in tensors.items() if value is not None}))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network, or an ensemble, on a split: how right, how well calibrated, how close to its teacher, how costly.

    ``temperature`` is the scalar temperature fitted on the validation split, which would calibrate the network. ``fidelity_on`` says on what the
    network was compared with its teacher: the split, or the training pictures of a transfer set when the teacher itself cannot be asked.
    """

    name: str
    split: str
    accuracy: Accuracy
    calibration: Calibration
    temperature: TemperatureFit | None
    fidelity: Fidelity | None
    fidelity_on: str
    cost: Cost | None
    answers: Answers
    teacher_cost: Cost | None = None
    """What its teacher costs, all the networks of it, measured by its side."""

    @property
    def right(self) -> Tensor:
        """For each labelled example whether the answer is right, (N,) bool."""
        return correct(self.answers.logits, self.answers.labels)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the answers have a file of their own."""
        names = ("accuracy", "calibration", "temperature", "fidelity", "cost", "teacher_cost")
        parts = {name: getattr(self, name) for name in names}
        values: dict[str, Any] = {"name": self.name, "split": self.split, "fidelity_on": self.fidelity_on}
        return values | {name: asdict(part) if part else None for name, part in parts.items()}

    def save(self, folder: Path, *, suffix: str = "", write_beside: Callable[[], Mapping[str, Written]] = dict) -> None:
        """Write ``evaluation-SPLIT.json`` and ``answers-SPLIT.safetensors`` into a run folder; ``suffix`` follows the split.

        The former vouches for the latter, and for the files that ``write_beside`` writes.
        """
        name, numbers = f"answers-{self.split}{suffix}.safetensors", folder / f"evaluation-{self.split}{suffix}.json"
        # Earlier numbers vouch for earlier answers: a process that is killed in between leaves none that are not its own.
        remove(numbers)
        files = {name: self.answers.save(folder / name), **write_beside()}
        write_checked(numbers, {**self.to_dict(), "files": {name: asdict(written) for name, written in files.items()}})


BATCH = 1024
"""Examples that are answered at a time, unless told otherwise."""


@torch.no_grad()
def answer(teacher: Teacher, examples: Examples, *, batch_size: int = BATCH) -> Answers:
    """The answers of a network or an ensemble to the plain pictures of a split, float32, ragged last batch included."""
    batches = examples.batches(torch.arange(len(examples)), batch_size=batch_size, views=None)
    ids, labels, outputs = zip(*((batch.ids, batch.labels, teacher(batch)) for batch in batches), strict=True)
    logits = torch.cat([output.logits(1.0).float() for output in outputs])
    return Answers(torch.cat(ids), torch.cat(labels), logits, *_members(outputs))


def _members(answers: Sequence[Answer]) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """The raw logits (M, N, C) of an ensemble's members, and their weights; of a single network there is nothing to add."""
    outputs = [output for output in answers if isinstance(output, Output)]
    if len(outputs) < len(answers) or len(outputs[0].members) == 1:
        return None, None
    return torch.cat([output.members.float() for output in outputs], dim=1), outputs[0].weights


@dataclass(frozen=True, slots=True)
class Subject:
    """What is evaluated: how it answers, the networks that it runs, and the files that hold their weights."""

    name: str
    teacher: Teacher
    networks: Sequence[Network]
    files: Sequence[Path] = ()


def evaluate_subject(
    subject: Subject,
    examples: Examples,
    *,
    split: str,
    validation: Examples | None,
    reference: Answers | None = None,
    cost: bool = True,
    batch_size: int = BATCH,
) -> Evaluation:
    """Measure one subject; ``reference`` are its teacher's answers to the same examples, ``validation`` what a temperature may be fitted on."""
    found = answer(subject.teacher, examples, batch_size=batch_size)
    labelled = validation is not None and bool(len(validation)) and bool((validation.labels != IGNORED).any())
    chosen = answer(subject.teacher, validation, batch_size=batch_size) if validation is not None and labelled else None
    example = next(iter(examples.batches(torch.arange(1), batch_size=1, views=None))).inputs
    return Evaluation(
        name=subject.name,
        split=split,
        accuracy=measure_accuracy(found.logits, found.labels),
        calibration=measure_calibration(found.logits, found.labels),
        temperature=fit_temperature(chosen.logits, chosen.labels) if chosen else None,
        fidelity=measure_fidelity(student=found.logits, teacher=reference.logits, labels=found.labels) if reference else None,
        fidelity_on=split,
        cost=measure_cost(subject.networks, example, files=subject.files) if cost else None,
        answers=found,
    )


RECORDED_SAMPLE = 10_000
"""Training pictures at most on which a student is compared with recorded answers."""


@torch.no_grad()
def fidelity_to_recorded(student: Teacher, recorded: TransferSet, train: Examples, *, batch_size: int = BATCH) -> Fidelity | None:
    """Agreement on the training pictures that a transfer set answers for, evenly spread, in the first view recorded of each; None where it keeps no
    tail at temperature 1.
    """
    if recorded.temperatures is not None and 1.0 not in recorded.temperatures:
        return None
    require_same(recorded.identity, replace(recorded.identity, transform=train.transform), where=str(recorded.path), fix="pass the data as it was")
    keys = recorded.keys()
    keys = keys[torch.isin(keys // recorded.views, train.ids)]
    keys = keys[torch.linspace(0, len(keys) - 1, min(RECORDED_SAMPLE, len(keys))).round().long()]
    positions = positions_of(train, keys // recorded.views)
    ours: list[Tensor] = []
    for batch in train.batches(positions, batch_size=batch_size, views=keys % recorded.views):
        if not ours:
            recorded.check_alignment(batch)
        ours.append(student(batch).logits(1.0).float())
    theirs = recorded[keys // recorded.views, keys % recorded.views].logits(1.0)
    return measure_fidelity(student=torch.cat(ours), teacher=theirs, labels=train.labels[positions])
