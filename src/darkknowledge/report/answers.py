"""What a network answered on a split, read back from the files that an evaluation left in its run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.model import NetworkSpec
from darkknowledge.report.reading import FAULTS, read_answers
from darkknowledge.runs.files import read_json


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """Logits (N, C) at temperature 1 for the examples with these ids and labels (N,), and what the C classes are called."""

    class_names: tuple[str, ...]
    ids: Tensor
    labels: Tensor
    logits: Tensor


def kept_answers(folder: Path, *, split: str) -> KeptAnswers:
    """The answers that ``dk evaluate`` kept in a run folder.

    Raises:
        UsageError: there are none.
        IntegrityError: they are not the ones that were written.
    """
    numbers, answers = folder / f"evaluation-{split}.json", folder / f"answers-{split}.safetensors"
    if not numbers.is_file():
        command = f"dk evaluate run={folder}{'' if split == 'test' else f' split={split}'}"
        raise UsageError(f"{folder} keeps no answers to the {split} split", where=str(answers), fix=f"let it answer: {command}")
    names = class_names(folder)
    try:
        found = read_answers(folder, answers.name, numbers)
    except FAULTS as error:
        if isinstance(error, IntegrityError):
            raise
        raise IntegrityError(
            f"{answers.name} does not hold the answers of a run: {error}", where=str(answers), fix="evaluate the run again"
        ) from error
    if found.logits.shape[1] != len(names):
        what = f"{answers.name} holds answers of {found.logits.shape[1]} classes, and the network has {len(names)}"
        raise IntegrityError(what, where=str(answers), fix="evaluate the run again")
    return KeptAnswers(names, found.ids, found.labels, found.logits)


def class_names(folder: Path) -> tuple[str, ...]:
    """What the outputs of a run's network are called, in order.

    Raises:
        IntegrityError: its configuration does not say.
    """
    path = folder / "model" / "config.json"
    try:
        return NetworkSpec.from_dict(read_json(path)["network"]).class_names
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise IntegrityError(f"{path.name} describes no network", where=str(path), fix="do not use this folder") from error
