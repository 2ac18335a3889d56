"""What a run folder holds, read as a stranger may have written it: each function gives what it should, or raises one of `FAULTS`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from darkknowledge.analysis import Cost, Latency
from darkknowledge.errors import DarkKnowledgeError, IntegrityError
from darkknowledge.report.story import Answers
from darkknowledge.runs.checked_json import vouched_for
from darkknowledge.runs.files import LARGEST, read_json, require_modest, verify_files

FAULTS = (DarkKnowledgeError, SafetensorError, ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What reading a file that somebody else wrote may raise."""


def read_answers(folder: Path, name: str, vouching: Path) -> Answers:
    """Answers that an evaluation has written.

    Raises:
        IntegrityError: they are not what the file ``vouching`` for them says, or no answers.
    """
    found = read_tensors(folder, name, vouching)
    ids, labels, logits = (found[part] for part in ("ids", "labels", "logits"))
    members, weights = found.get("members"), found.get("weights")
    whole = logits.ndim == 2 and len(logits) and ids.shape == labels.shape == logits.shape[:1] and not ids.is_floating_point()
    fits = members is None or (members.shape[1:] == logits.shape and weights is not None and weights.shape == members.shape[:1])
    if not (whole and fits and logits.isfinite().all() and labels.dtype == torch.int64 and int(labels.max()) < logits.shape[1]):
        raise IntegrityError(f"{name} holds no answers", where=str(folder / name))
    return Answers(ids, labels, logits.float(), members, weights)


def read_tensors(folder: Path, name: str, vouching: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        IntegrityError: the file is not what ``vouching`` says.
    """
    files = vouched_for(vouching)
    if name in files:
        verify_files(folder, {name: files[name]})
    return from_safetensors((folder / name).read_bytes())


def read_measures(measured: Any) -> tuple[float | None, Cost | None]:
    """The fitted temperature and the cost that an evaluation noted."""
    if not isinstance(measured, Mapping):
        return None, None
    fitted, cost = measured.get("temperature"), measured.get("cost")
    return None if fitted is None else float(fitted["temperature"]), None if cost is None else _cost(cost)


def _cost(values: Mapping[str, Any]) -> Cost:
    latency = tuple(
        Latency(
            int(one["batch_size"]),
            float(one["median"]),
            float(one["first_quartile"]),
            float(one["third_quartile"]),
            int(one["repeats"]),
            int(one["threads"]),
            str(one["device"]),
            str(one.get("runtime", "pytorch")),
        )
        for one in values["latency"]
    )
    size = values["file_bytes"]
    return Cost(int(values["parameters"]), int(values["macs"]), None if size is None else int(size), latency)


def read_pictures(tensors: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """The thumbnails by the ids of their examples."""
    return dict(zip(tensors["ids"].tolist(), tensors["pictures"], strict=True))


def read_metrics(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The records of a training, a line each."""
    require_modest(path, largest=LARGEST)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(line for line in lines if isinstance(line, Mapping))


def read_class_names(path: Path) -> tuple[str, ...]:
    """What the outputs of a network are called, by its configuration."""
    return tuple(map(str, read_json(path)["network"]["class_names"]))
