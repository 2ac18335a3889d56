"""How many augmented views of each picture a transfer set needs: validation errors of MNIST students against V.

    python benchmarks/transfer/views.py TEACHER_RUN DATA_ROOT

The teacher is a run on MNIST with shifts (README.md tells how it was made). All its answers are computed once; every student then sees V of the
views, in epochs that mix them. With V = epochs each epoch shows new views, as beside a live teacher. Students of one seed share their initial weights
and the order of the examples. The test split stays closed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge import model
from darkknowledge.contract import Batch, Output
from darkknowledge.data import Dataset, load
from darkknowledge.objective import build
from darkknowledge.runs.environment import environment
from darkknowledge.teacher import Frozen
from darkknowledge.training.loop import fit
from darkknowledge.training.recipe import Recipe

EPOCHS, VIEWS, SEEDS = 32, (1, 2, 4, 8, 16, 32), 5
RESULTS = Path(__file__).with_name("views.json")


class Remembered:
    """A `Teacher` whose answers to all views were computed before."""

    def __init__(self, answers: Tensor, class_names: tuple[str, ...]) -> None:
        self.answers, self.class_names = answers, class_names

    def __call__(self, batch: Batch) -> Output:
        assert batch.views is not None
        return Output.single(self.answers[batch.views, batch.ids])

    def to(self, device: torch.device | str) -> Remembered:
        return self


@torch.no_grad()
def remember(run: str, data: Dataset) -> Remembered:
    """The answers (V, ids, C) of the run's network to every view of every training picture."""
    teacher = Frozen(model.load(Path(run) / "model"), data.class_names)
    everything = torch.arange(len(data.train))
    answers = torch.zeros(EPOCHS, int(data.train.ids.max()) + 1, len(data.class_names))
    for view in range(EPOCHS):
        for batch in data.train.batches(everything, batch_size=1024, views=torch.full_like(everything, view)):
            answers[view, batch.ids] = teacher(batch).logits()
        print(f"view {view + 1} of {EPOCHS}", file=sys.stderr, flush=True)
    return Remembered(answers, data.class_names)


def validation_score(teacher: Remembered, data: Dataset, *, views: int, seed: int) -> dict[str, Any]:
    """One student's validation errors and NLL after the last epoch."""
    torch.manual_seed(seed)
    student = model.build(
        "hinton_mlp", num_classes=10, input_shape=data.input_shape, mean=data.mean, std=data.std, class_names=data.class_names, hidden=[300, 300]
    )
    recipe = Recipe(epochs=EPOCHS, batch_size=256, learning_rate=0.1, seed=seed, views=views if views < EPOCHS else None, precision="fp32", threads=1)
    fitted = fit(student, build("distillation", temperature=8.0, alpha=0.9), data.train, recipe, teacher=teacher, validation=data.validation)
    assert fitted.last is not None
    return {"views": views, "seed": seed, "errors": round((1 - fitted.last.accuracy) * len(data.validation)), "nll": fitted.last.nll}


def main(run: str, root: str) -> None:
    torch.set_num_threads(1)
    data = load("mnist", root=root, validation=5000, augment="jitter")
    teacher = remember(run, data)
    scores: list[dict[str, Any]] = []
    for seed in range(SEEDS):
        for views in VIEWS:
            scores.append(validation_score(teacher, data, views=views, seed=seed))
            print(scores[-1], file=sys.stderr, flush=True)
            RESULTS.write_text(json.dumps({"epochs": EPOCHS, "environment": environment(), "scores": scores}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
