"""What a step costs with recorded answers, beside the student alone and live teachers; and what recording costs beside the bare teacher.

Student 784-800-800-10, teachers 784-1200-1200-10, pictures of noise, one thread, float32. Every measurement is a call of `fit` (or of `build`), its
start and end included.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from benchmarks._measuring import Comparison, Run, compare
from benchmarks._pictures import noise, perceptron
from benchmarks.transfer.recorded import planned, recorded

from darkknowledge import Recipe
from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset
from darkknowledge.objective import build as build_objective
from darkknowledge.teacher import Ensemble, Frozen
from darkknowledge.training import fit
from darkknowledge.transfer import RecordedTeacher, build as record

MEMBERS = 10
ROWS, RECORDED = 8192, 32768


def measure(run: Run) -> None:
    """Recording, then steps at two batch sizes."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run.add("recording, 32,768 answers", recording_costs(Path(folder), run))
        for batch_size in (1024, 256):
            run.add(f"batches of {batch_size:,}", step_costs(Path(folder), run, batch_size=batch_size))


def recording_costs(folder: Path, run: Run) -> Comparison:
    """Recording against the teacher's forward passes alone, on batches made before, and against making the batches and passing them."""
    data = noise(1024 if run.quick else RECORDED)
    teacher = Frozen(perceptron(data, 1200), data.class_names)
    plan, everything = planned(teacher, data), torch.arange(len(data.train))
    batches = list(data.train.batches(everything, batch_size=256, views=None))

    def bare() -> None:
        for batch in batches:
            teacher(batch)

    def with_batches() -> None:
        for batch in data.train.batches(everything, batch_size=256, views=None):
            teacher(batch)

    def recording() -> None:
        record(folder / "again", plan, teacher=teacher, examples=data.train)
        shutil.rmtree(folder / "again")

    variants: dict[str, Callable[[], object]] = {"bare": bare, "with batches": with_batches, "recording": recording}
    return compare(variants, to=("bare", "with batches"), repeats=run.repeats)


def step_costs(folder: Path, run: Run, *, batch_size: int) -> Comparison:
    """Some steps of the student with every teacher."""
    data = noise(1024 if run.quick else ROWS)
    steps = (1 if run.quick else 12) * 1024 // batch_size
    variants = {
        name: partial(train, data, teacher, batch_size=batch_size, steps=steps) for name, teacher in teachers(data, folder / str(batch_size)).items()
    }
    return compare(variants, to=("alone", "recorded ensemble"), repeats=run.repeats)


def teachers(data: Dataset, folder: Path) -> dict[str, Teacher | None]:
    """None, one and ten, live and recorded, the rows in memory or mapped."""
    one = Frozen(perceptron(data, 1200), data.class_names)
    ten = Ensemble([Frozen(perceptron(data, 1200, seed=seed), data.class_names) for seed in range(MEMBERS)])
    folder.mkdir()
    sets = {name: recorded(teacher, data, folder / name) for name, teacher in (("one", one), ("ten", ten))}
    return {
        "alone": None,
        "recorded": RecordedTeacher(sets["one"].load()),
        "mapped": RecordedTeacher(sets["one"]),
        "live": one,
        "recorded ensemble": RecordedTeacher(sets["ten"].load()),
        "live ensemble": ten,
    }


def train(data: Dataset, teacher: Teacher | None, *, batch_size: int, steps: int) -> None:
    """Some steps of the student."""
    recipe = Recipe(epochs=1000, steps=steps, batch_size=batch_size, learning_rate=0.01, precision="fp32", threads=1, views=1)
    objective = build_objective("hard_label" if teacher is None else "distillation")
    fit(perceptron(data, 800), objective, data.train, recipe, teacher=teacher)
