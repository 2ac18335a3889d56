"""What a network answered on a split, read back from the files that an evaluation left in its run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.model import NetworkSpec
from darkknowledge.runs.checked_json import vouched_for
from darkknowledge.runs.files import read_json, verify_files


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """Logits (N, C) at temperature 1 for the examples with these ids and labels (N,), and what the C classes are called."""

    class_names: tuple[str, ...]
    ids: Tensor
    labels: Tensor
    logits: Tensor


def read_answers(folder: Path, *, split: str) -> KeptAnswers:
    """The answers that ``dk evaluate`` kept in a run folder.

    Raises:
        UsageError: there are none.
        IntegrityError: they are not the ones that were written.
    """
    numbers, answers = folder / f"evaluation-{split}.json", folder / f"answers-{split}.safetensors"
    if not numbers.is_file():
        command = f"dk evaluate run={folder}{'' if split == 'test' else f' split={split}'}"
        raise UsageError(f"{folder} keeps no answers to the {split} split", where=str(answers), fix=f"let it answer: {command}")
    verify_files(folder, {name: file for name, file in vouched_for(numbers).items() if name == answers.name})
    names = class_names(folder)
    try:
        found = load(answers.read_bytes())
        ids, labels, logits = found["ids"], found["labels"], found["logits"]
    except (OSError, SafetensorError, KeyError) as error:
        raise IntegrityError(
            f"{answers.name} does not hold the answers of a run: {error}", where=str(answers), fix="evaluate the run again"
        ) from error
    fits = ids.ndim == 1 and len(ids) and labels.shape == ids.shape and logits.shape == (len(ids), len(names)) and logits.is_floating_point()
    if not (fits and labels.dtype == torch.int64 and int(labels.max()) < len(names) and logits.isfinite().all()):
        what = f"{answers.name} holds no logits and labels of {len(names)} classes"
        raise IntegrityError(what, where=str(answers), fix="evaluate the run again")
    return KeptAnswers(names, ids, labels, logits.float())


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
