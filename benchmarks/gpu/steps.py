"""Steps of a ResNet-18 on CIFAR-10 (JPEG): alone, with recorded answers, with a live ResNet-50."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch
from benchmarks._measuring import Run, Seconds, compare, seconds_of_steps
from benchmarks.transfer.recorded import recorded

from darkknowledge import Recipe
from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset, load
from darkknowledge.model import Network, build
from darkknowledge.objective import build as build_objective
from darkknowledge.teacher import Frozen
from darkknowledge.training import fit
from darkknowledge.training.watching import Plan, Record, Watcher
from darkknowledge.transfer import RecordedTeacher

BATCH, PLANNED, SKIP, COUNT, WATCHED = 512, 10_000, 50, 200, 20
"""Examples of a step, steps of the run, those not timed at its start, those timed, those watched for waiting."""


class NoWaiting:
    """A `Watcher` under which a step that waits for the host is an error, once the run has warmed up."""

    def begin(self, plan: Plan) -> None: ...

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...

    def step(self, done: int) -> None:
        if done in (SKIP, SKIP + WATCHED):
            torch.cuda.set_sync_debug_mode("error" if done == SKIP else "default")


def measure_steps(run: Run) -> None:
    """In both precisions; first that no step waits."""
    if run.data is None:
        run.note("SKIPPED: the steps, which need --data FOLDER with the parquet files of CIFAR-10", loud=True)
        return
    data = load("parquet", root=run.data, augment="none")
    live = Frozen(network(data, "resnet50"), data.class_names).to("cuda")
    with tempfile.TemporaryDirectory() as folder:
        found = recorded(live, data, Path(folder) / "set").load()
        teachers: dict[str, Teacher | None] = {"alone": None, "recorded": RecordedTeacher(found), "live": live}
        for precision in ("fp32", "bf16"):
            works = {name: partial(steps, data, teacher, precision=precision) for name, teacher in teachers.items()}
            waiting(run, precision, data, teachers)
            compared = compare(works, to="alone", repeats=run.rounds(10), settle=torch.cuda.synchronize)
            run.add(f"ResNet-18, batches of {BATCH}, {precision}", compared)
            run.add(f"steps per second, {precision}", {name: round(1 / compared.middle(name).wall, 2) for name in works})


def waiting(run: Run, precision: str, data: Dataset, teachers: dict[str, Teacher | None]) -> None:
    """Record that the watched steps of each kind waited for nothing; one that does ends the benchmark with torch's error."""
    for teacher in teachers.values():
        try:
            steps(data, teacher, precision=precision, count=WATCHED, watcher=NoWaiting())
        finally:
            torch.cuda.set_sync_debug_mode("default")
    run.add(f"host synchronisations in {WATCHED} steps, {precision}", dict.fromkeys(teachers, 0))


def network(data: Dataset, name: str) -> Network:
    """A network of timm, with fresh weights."""
    torch.manual_seed(0)
    return build(f"timm:{name}", num_classes=len(data.class_names), input_shape=data.input_shape, mean=data.mean, std=data.std)


def steps(data: Dataset, teacher: Teacher | None, *, precision: str, count: int = COUNT, watcher: Watcher | None = None) -> Seconds:
    """Seconds of a step."""
    recipe = Recipe(epochs=1000, steps=PLANNED, batch_size=BATCH, precision=precision, device="cuda", views=1, log_every=PLANNED)
    objective = build_objective("hard_label") if teacher is None else build_objective("distillation", temperature=4.0, alpha=0.9)
    others = [] if watcher is None else [watcher]

    def start(watch: Watcher) -> None:
        fit(network(data, "resnet18"), objective, data.train, recipe, teacher=teacher, watchers=[*others, watch])

    settle = torch.cuda.synchronize if watcher is None else None
    return seconds_of_steps(start, skip=SKIP, count=count, settle=settle)
