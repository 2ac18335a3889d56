"""What a student learns from recorded answers beside what it learns from the live teacher: losses and gradients over an epoch, and whole students.

    python benchmarks/transfer/exactness.py TEACHER_RUN DATA_ROOT

The teacher is a run on MNIST (`dk train data=mnist data.augment=jitter data.validation=5000 …`). Its answers to two shifted views of each picture are
recorded as float32, float16 and uint8, in batches of 256. Then:

- ``batches_of_…``: a student takes an epoch of steps with the live teacher. At every step its loss and its gradient are computed from each store too.
  With batches of one picture, whose products are computed in another way, that is shown for the first 1,000 pictures and float32.
- ``same_batches``: the very batches of the recording, in its order. From float32 everything must be equal bit for bit.
- ``students``: whole students of each source. Those of one seed share initial weights, order and views.

For the gradient with respect to one example's student logits there is a bound without any constant: with the teacher's logits off by at most e, it
is off by at most w e / B in the sum of absolute values, w being the soft term's weight and B the batch. It holds at every temperature: the softmax
moves by at most e / T in that sum, and the gradient is T times its difference. ``of_proven`` is the largest part of the bound that was used, over the
rows with e above 1e-3 (below, the gradient's own rounding shows).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

import darkknowledge
from darkknowledge import Recipe, TransferSet, model
from darkknowledge.contract import Answer, Batch, Objective, Teacher
from darkknowledge.data import Dataset, load
from darkknowledge.model import Network
from darkknowledge.objective import build
from darkknowledge.runs.environment import environment
from darkknowledge.teacher import Frozen
from darkknowledge.training.loop import fit
from darkknowledge.training.passes import Passes
from darkknowledge.transfer import RecordedTeacher

CODECS = ("float32", "float16", "uint8")
TEMPERATURES, ALPHA = (1.0, 4.0, 8.0), 0.9
VIEWS, BATCH, EPOCHS, SEEDS = 2, 256, 4, 5
BOUNDS = {"float32": 1e-5, "float16": 2e-3, "uint8": 1e-2}
"""Of the relative difference of the loss and, in the 2-norm, of the gradient with respect to the student's weights."""
RESULTS = Path(__file__).with_suffix(".json")


def main(run: str, root: str) -> None:
    torch.set_num_threads(1)
    settings = {"name": "mnist", "root": root, "validation": 5000, "augment": "jitter"}
    data = load(**settings)  # type: ignore[arg-type]
    teacher = Frozen(model.load(Path(run) / "model"), data.class_names)
    with tempfile.TemporaryDirectory() as folder:
        sets = {codec: record(run, settings, Path(folder) / codec, codec) for codec in CODECS}
        results: dict[str, Any] = {"environment": environment(), "bounds": BOUNDS}
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            **{f"batches_of_{size}": partial(steps, data, teacher, sets, size) for size in (256, 100)},
            "batches_of_1": partial(one_by_one, data, teacher, sets),
            "same_batches": partial(same_batches, data, teacher, sets),
            "students": partial(students, data, teacher, sets),
        }
        for name, part in parts.items():
            results[name] = part()
            print(name, json.dumps(results[name])[:2000], file=sys.stderr, flush=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def record(run: str, settings: dict[str, Any], out: Path, codec: str) -> TransferSet:
    made = darkknowledge.record(run, settings, out, views=VIEWS, codec=codec, batch_size=BATCH, device="cpu", threads=1, progress=False)
    assert made is not None
    return made


def new_student(data: Dataset, seed: int) -> Network:
    torch.manual_seed(seed)
    options: dict[str, Any] = {"mean": data.mean, "std": data.std, "class_names": data.class_names, "hidden": [300, 300]}
    return model.build("hinton_mlp", num_classes=10, input_shape=data.input_shape, **options)


def steps(data: Dataset, teacher: Teacher, sets: Mapping[str, TransferSet], batch_size: int) -> dict[str, Any]:
    """An epoch in a training run's order and views."""
    positions, views = Passes(data.train.ids, Recipe(epochs=EPOCHS, batch_size=batch_size, views=VIEWS)).epoch(0)
    return compared(data, teacher, sets, data.train.batches(positions, batch_size=batch_size, views=views))


def one_by_one(data: Dataset, teacher: Teacher, sets: Mapping[str, TransferSet]) -> dict[str, Any]:
    """The first pictures of that epoch, each a batch of its own."""
    positions, views = (part[:1000] for part in Passes(data.train.ids, Recipe(epochs=EPOCHS, views=VIEWS)).epoch(0))
    return compared(data, teacher, {"float32": sets["float32"]}, data.train.batches(positions, batch_size=1, views=views))


def same_batches(data: Dataset, teacher: Teacher, sets: Mapping[str, TransferSet]) -> dict[str, Any]:
    """Both views of every picture in the order of the recording, which cut it into batches at the same rows."""
    positions = data.train.ids.argsort().repeat_interleave(VIEWS)
    batches = data.train.batches(positions, batch_size=BATCH, views=torch.arange(VIEWS).repeat(len(data.train)))
    return compared(data, teacher, {"float32": sets["float32"]}, batches)


def compared(data: Dataset, teacher: Teacher, sets: Mapping[str, TransferSet], batches: Iterator[Batch]) -> dict[str, Any]:
    """The largest differences over the batches, by codec and temperature; the student moves on by the live teacher's gradient at T = 4."""
    student = new_student(data, seed=0)
    objectives = {temperature: build("distillation", temperature=temperature, alpha=ALPHA) for temperature in TEMPERATURES}
    found: dict[str, dict[str, float]] = {}
    count = 0
    for batch in batches:
        assert batch.views is not None
        answer, logits = teacher(batch), student(batch.inputs)
        answers = {codec: stored[batch.ids, batch.views] for codec, stored in sets.items()}
        live = {temperature: step_of(student, objective, batch, logits, answer) for temperature, objective in objectives.items()}
        for temperature, codec in product(TEMPERATURES, answers):
            other = step_of(student, objectives[temperature], batch, logits, answers[codec])
            note(found.setdefault(f"{codec} T={temperature:g}", {}), live[temperature].differences(other))
        descend(student, live[4.0].gradient)
        count += 1
    summary = {name: {**values, "within_bound": max(values["loss"], values["gradient"]) <= BOUNDS[name.split()[0]]} for name, values in found.items()}
    return {"steps": count, "student": [300, 300], "alpha": ALPHA, "largest": summary}


@dataclass(frozen=True, slots=True)
class Step:
    """What a student learns from one answer to a batch: loss, its gradient with respect to the logits (B, C), and to all weights in one row."""

    answer: Tensor
    loss: Tensor
    at_logits: Tensor
    gradient: Tensor

    def differences(self, other: Step) -> dict[str, float]:
        """How far the other is from this one."""
        off = (other.answer - self.answer).abs().amax(-1)
        moved = (other.at_logits - self.at_logits).abs().sum(-1) * len(off)
        return {
            "logits": off.max().item(),
            "loss": ((other.loss - self.loss).abs() / self.loss).item(),
            "gradient": ((other.gradient - self.gradient).norm() / self.gradient.norm()).item(),
            "gradient_largest_entry": ((other.gradient - self.gradient).abs().max() / self.gradient.abs().max()).item(),
            "of_proven": torch.where(off > 1e-3, moved / (ALPHA * off), 0.0).max().item(),
            "steps_equal_bit_for_bit": all(torch.equal(getattr(self, name), getattr(other, name)) for name in ("answer", "loss", "gradient")),
        }


def step_of(student: Network, objective: Objective, batch: Batch, logits: Tensor, answer: Answer) -> Step:
    """The step that follows from ``answer``, the student's logits being there already."""
    loss = objective.loss(logits, answer, batch.labels, epoch=0).total
    at_logits, *at_weights = torch.autograd.grad(loss, [logits, *student.parameters()], retain_graph=True)
    return Step(answer.logits(), loss.detach(), at_logits, torch.cat([part.flatten() for part in at_weights]))


def note(found: dict[str, float], values: Mapping[str, float]) -> None:
    """Keep the largest of each, and the number of equal steps."""
    for name, value in values.items():
        known = found.get(name, 0.0)
        found[name] = known + value if name == "steps_equal_bit_for_bit" else max(known, value)


@torch.no_grad()
def descend(student: Network, gradient: Tensor, rate: float = 0.05) -> None:
    begin = 0
    for parameter in student.parameters():
        parameter.sub_(rate * gradient[begin : begin + parameter.numel()].view_as(parameter))
        begin += parameter.numel()


def students(data: Dataset, teacher: Teacher, sets: Mapping[str, TransferSet]) -> dict[str, Any]:
    """Validation errors of whole students by source and seed, and the differences to the live teacher's student of the same seed."""
    sources: dict[str, Teacher] = {"live": teacher, **{codec: RecordedTeacher(stored.load()) for codec, stored in sets.items()}}
    errors: dict[str, list[int]] = {name: [] for name in sources}
    nll: dict[str, list[float]] = {name: [] for name in sources}
    recipe = Recipe(epochs=EPOCHS, batch_size=BATCH, learning_rate=0.1, views=VIEWS, precision="fp32", threads=1, device="cpu")
    for seed in range(SEEDS):
        for name, source in sources.items():
            objective = build("distillation", temperature=4.0, alpha=ALPHA)
            seeded = recipe.model_copy(update={"seed": seed})
            score = fit(new_student(data, seed), objective, data.train, seeded, teacher=source, validation=data.validation).last
            assert score is not None
            errors[name].append(round((1 - score.accuracy) * len(data.validation)))
            nll[name].append(score.nll)
    differences = {name: [ours - live for ours, live in zip(errors[name], errors["live"], strict=True)] for name in sets}
    return {
        "epochs": EPOCHS,
        "seeds": SEEDS,
        "validation": len(data.validation),
        "errors": errors,
        "nll": nll,
        "mean_and_sd_of_errors": {name: (mean(values), stdev(values)) for name, values in errors.items()},
        "differences_to_live": differences,
        "mean_and_sd_of_differences": {name: (mean(values), stdev(values)) for name, values in differences.items()},
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
