"""Run folders with invented answers, written by the same functions as real ones: no network is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge.analysis import Cost, Latency, fit_temperature, measure_accuracy, measure_calibration
from darkknowledge.contract import Examples, Output
from darkknowledge.data import from_tensors
from darkknowledge.pipeline._measuring import Answers, Evaluation
from darkknowledge.pipeline._pictures import save_for_page
from darkknowledge.runs.checked_json import write_checked
from darkknowledge.runs.files import write_json, write_text
from darkknowledge.runs.folder import RunFolder

TEMPERATURE = 4.0


def comparison(
    folder: Path,
    *,
    names: Sequence[str] = tuple("0123456789"),
    examples: int = 120,
    seeds: int = 2,
    members: int = 2,
    channels: int = 1,
    size: int = 8,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """The folder of a ``dk run`` with a teacher of ``members`` networks; of the logits the students' are the teacher's with noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(examples) % len(names)
    shown = _examples(labels, names, channels, size, generator)
    similar = torch.randn(len(names), len(names), generator=generator)
    clean = 4 * torch.nn.functional.one_hot(labels, len(names)) + 1.5 * similar[labels]
    answers = [_noisy(clean, 1.0, generator) for _ in range(members)]
    output = Output(torch.stack(answers), torch.full((members,), 1 / members))
    many = (output.members, output.weights) if members > 1 else (None, None)
    said = Answers(shown.ids, labels, output.logits(1.0).float(), *many)
    run = RunFolder.create(folder, kind="run", config=dict(settings or {}))
    with run.held():
        for index in range(members):
            network(folder / f"teacher-{index}", "train", names, {"training": {"seed": index}}, None)
        arms = {"alone": [said_by(shown, _noisy(clean, 2.5, generator)) for _ in range(seeds)]}
        arms["distilled"] = [said_by(shown, _noisy(said.logits, 1.0, generator)) for _ in range(seeds)]
        for kind, found in arms.items():
            for index, own in enumerate(found):
                network(folder / f"{kind}-{index}", *_of(kind, names, index, settings), own)
        files = save_for_page(folder, shown, student=arms["distilled"][0], teacher=said, alone=arms["alone"][0])
        teacher = evaluation("teacher", said).to_dict()
        summary = {"data": "invented pictures", "teacher": teacher, "files": {name: asdict(file) for name, file in files.items()}}
        write_checked(folder / "comparison.json", summary)
    return folder


def said_by(shown: Examples, logits: Tensor) -> Answers:
    """Those answers to the examples."""
    return Answers(shown.ids, shown.labels, logits)


def evaluation(name: str, answers: Answers) -> Evaluation:
    """As an evaluation would have found it; the temperature is fitted on the same answers, as there is no validation split."""
    latency = tuple(Latency(size, 0.001 * size, 0.0009 * size, 0.0012 * size, 30, 1, "cpu") for size in (1, 256))
    return Evaluation(
        name=name,
        split="test",
        accuracy=measure_accuracy(answers.logits, answers.labels),
        calibration=measure_calibration(answers.logits, answers.labels),
        temperature=fit_temperature(answers.logits, answers.labels),
        fidelity=None,
        fidelity_on="test",
        cost=Cost(20_000 if name == "teacher" else 1_000, 19_000, 80_000, latency),
        answers=answers,
    )


def network(folder: Path, kind: str, names: Sequence[str], settings: Mapping[str, Any], answers: Answers | None) -> Path:
    """The folder of a finished ``train`` or ``distill``."""
    run = RunFolder.create(folder, kind=kind, config=dict(settings))
    with run.held():
        (folder / "model").mkdir()
        write_json(folder / "model" / "config.json", {"network": {"class_names": list(names)}})
        terms = {"loss": 1.6, "hard": 0.1, **({"soft": 1.5} if kind == "distill" else {})}
        records = [{"kind": "epoch", "step": 5 * epoch, "epoch": float(epoch), **terms, "validation_accuracy": 0.9} for epoch in (1, 2, 3)]
        write_text(folder / "metrics.jsonl", "".join(f"{record}\n".replace("'", '"') for record in records))
        run.note(steps=15, seconds=1.5, device="cpu", objective="formula", model_fingerprint=str(folder.name))
        if answers is not None:
            evaluation(folder.name, answers).save(folder)
    return folder


def _of(kind: str, names: Sequence[str], seed: int, settings: Mapping[str, Any] | None) -> tuple[str, Sequence[str], dict[str, Any]]:
    own: dict[str, Any] = {"training": {"seed": seed}, "data": {"name": "invented"}, **(settings or {})}
    if kind == "alone":
        return "train", names, own | {"objective": {"name": "hard_label"}}
    goal = {"name": "distillation", "temperature": TEMPERATURE, "alpha": 0.5, **(settings or {}).get("objective", {})}
    return "distill", names, own | {"objective": goal, "teacher": {"average": "probability"}}


def _noisy(logits: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    return logits + noise * torch.randn(logits.shape, generator=generator)


def _examples(labels: Tensor, names: Sequence[str], channels: int, size: int, generator: torch.Generator) -> Examples:
    """Noise for pictures, whose data set cannot have classes of any name."""
    images = torch.randint(0, 256, (len(labels), channels, size, size), generator=generator, dtype=torch.uint8)
    plain = [str(one) for one in range(len(names))]
    return from_tensors(images, labels, images, labels, class_names=plain, validation=0).open_test()
