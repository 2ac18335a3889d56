"""A step with recorded uint8 answers to 1,000 classes beside a step of the student alone, both by `fit`.

Student 784-800-800-1000, batches of 1,024, one thread, float32, pictures of noise. The runs are planned for 5,000 steps, so that what is worth its
start in a long run is done, and some steps after the first few are timed.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch
from benchmarks._measuring import Run, Seconds, compare, seconds_of_steps
from benchmarks._pictures import noise, perceptron
from benchmarks.transfer.recorded import recorded

from darkknowledge import Recipe
from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset
from darkknowledge.objective import build as build_objective
from darkknowledge.teacher import Frozen
from darkknowledge.training import fit
from darkknowledge.training.watching import Watcher
from darkknowledge.transfer import RecordedTeacher

CLASSES, ROWS, BATCH = 1000, 8192, 1024
PLANNED, SKIP, COUNT = 5000, 4, 12
"""Steps of the run, those not timed at its start, those timed."""


def measure(run: Run) -> None:
    """The student alone, with a recorded teacher in memory and mapped, and with the live one."""
    torch.set_num_threads(1)
    data = noise(ROWS, classes=CLASSES)
    live = Frozen(perceptron(data, 100 if run.quick else 1200), data.class_names)
    with tempfile.TemporaryDirectory() as folder:
        found = recorded(live, data, Path(folder) / "set")
        teachers = {"alone": None, "recorded": RecordedTeacher(found.load()), "mapped": RecordedTeacher(found), "live": live}
        variants = {name: partial(steps, data, teacher, width=100 if run.quick else 800) for name, teacher in teachers.items()}
        run.add("784-800-800-1000, batches of 1,024", compare(variants, to="alone", repeats=run.repeats))


def steps(data: Dataset, teacher: Teacher | None, *, width: int) -> Seconds:
    """Seconds of a step."""
    recipe = Recipe(epochs=1000, steps=PLANNED, batch_size=BATCH, learning_rate=0.01, precision="fp32", threads=1, views=1)
    objective = build_objective("hard_label") if teacher is None else build_objective("distillation", temperature=4.0, alpha=0.9)

    def start(watch: Watcher) -> None:
        fit(perceptron(data, width), objective, data.train, recipe, teacher=teacher, watchers=[watch])

    return seconds_of_steps(start, skip=SKIP, count=COUNT)
