"""What a step costs with recorded answers, beside the student alone and live teachers; and what recording costs beside the bare teacher.

    python benchmarks/transfer/steps.py

Student 784-800-800-10, teachers 784-1200-1200-10, pictures of noise, one thread, float32. Every measurement is a call of `fit` (or of `build`), its
start and end included. The variants take turns, in another order each round; a ratio is that of two variants in the same round.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset, from_tensors
from darkknowledge.model import Network, build, fingerprint
from darkknowledge.objective import build as build_objective
from darkknowledge.runs.environment import environment
from darkknowledge.teacher import Ensemble, Frozen
from darkknowledge.training.loop import fit
from darkknowledge.training.recipe import Recipe
from darkknowledge.transfer import Identity, Plan, RecordedTeacher, TransferSet
from darkknowledge.transfer import build as record
from darkknowledge.transfer.codec import choose

RESULTS = Path(__file__).with_suffix(".json")
MEMBERS = 10
ROWS = 8192
RECORDED = 32768


def make_data(count: int) -> Dataset:
    """Pictures of noise: how long a step takes does not depend on what they show."""
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return from_tensors(images, torch.arange(count) % 10, class_names=[str(digit) for digit in range(10)], validation=0)


def network(data: Dataset, width: int, *, seed: int = 0) -> Network:
    """784-width-width-10."""
    torch.manual_seed(seed)
    return build("hinton_mlp", num_classes=10, input_shape=data.input_shape, mean=data.mean, std=data.std, hidden=(width, width))


def planned(teacher: Frozen | Ensemble, data: Dataset) -> Plan:
    """The teacher's answers to all pictures."""
    prints = tuple(map(fingerprint, teacher.networks))
    identity = Identity(prints, teacher.average, teacher.weights, data.fingerprint, data.class_names, data.train.transform, 1, choose(10))
    return Plan.make(identity, ids=data.train.ids)


def recorded(teacher: Frozen | Ensemble, data: Dataset, out: Path) -> TransferSet:
    """The same, recorded."""
    made = record(out, planned(teacher, data), teacher=teacher, examples=data.train)
    assert made is not None
    return made


def train(data: Dataset, teacher: Teacher | None, *, batch_size: int, steps: int) -> None:
    """Some steps of the student."""
    recipe = Recipe(epochs=1000, steps=steps, batch_size=batch_size, learning_rate=0.01, precision="fp32", threads=1, views=1)
    fit(
        network(data, 800), build_objective("hard_label") if teacher is None else build_objective("distillation"), data.train, recipe, teacher=teacher
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Processor and wall seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - processor, time.perf_counter() - wall


def rounds(variants: dict[str, Callable[[], object]], count: int) -> dict[str, list[tuple[float, float]]]:
    """Every variant once a round, in a shuffled order."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    shuffle = random.Random(0)
    for number in range(count + 1):
        for name in shuffle.sample(sorted(variants), len(variants)):
            seconds = timed(variants[name])
            if number:  # the first round warms up
                found[name].append(seconds)
    return found


def ratio(found: dict[str, list[tuple[float, float]]], name: str, other: str, *, scale: float = 1.0) -> dict[str, Any]:
    """Median of the ratios within a round, with a 95 % bootstrap interval, for processor and wall time."""
    result: dict[str, Any] = {}
    for index, kind in enumerate(("processor", "wall")):
        values = [scale * a[index] / b[index] for a, b in zip(found[name], found[other], strict=True)]
        draw = random.Random(0)
        medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(2000))
        result[kind] = {"median": median(values), "low": medians[50], "high": medians[1949]}
    return result


def step_costs(folder: Path, *, batch_size: int, count: int) -> dict[str, Any]:
    """Ratios of the cost of a step to that of the student alone."""
    data = make_data(ROWS)
    one = Frozen(network(data, 1200), data.class_names)
    ten = Ensemble([Frozen(network(data, 1200, seed=seed), data.class_names) for seed in range(MEMBERS)])
    sets = {name: recorded(teacher, data, folder / f"{name}-{batch_size}") for name, teacher in (("one", one), ("ten", ten))}
    steps = 12 * 1024 // batch_size
    teachers: dict[str, Teacher | None] = {
        "alone": None,
        "recorded": RecordedTeacher(sets["one"].load()),
        "mapped": RecordedTeacher(sets["one"]),
        "live": one,
        "recorded ensemble": RecordedTeacher(sets["ten"].load()),
        "live ensemble": ten,
    }
    variants = {name: lambda teacher=teacher: train(data, teacher, batch_size=batch_size, steps=steps) for name, teacher in teachers.items()}
    found = rounds(variants, count)  # type: ignore[arg-type]
    ratios = {name: ratio(found, name, "alone") for name in teachers if name != "alone"}
    ratios["live ensemble / recorded ensemble"] = ratio(found, "live ensemble", "recorded ensemble")
    return {"batch_size": batch_size, "steps": steps, "rounds": count, "to the student alone": ratios, "seconds": found}


def recording_costs(folder: Path, *, count: int) -> dict[str, Any]:
    """Recording against the teacher's forward passes alone, on batches made before, and against making the batches and passing them."""
    data = make_data(RECORDED)
    teacher = Frozen(network(data, 1200), data.class_names)
    everything = torch.arange(RECORDED)
    batches = list(data.train.batches(everything, batch_size=256, views=None))

    def bare() -> None:
        for batch in batches:
            teacher(batch)

    def with_batches() -> None:
        for batch in data.train.batches(everything, batch_size=256, views=None):
            teacher(batch)

    plan = planned(teacher, data)

    def recording() -> None:
        record(folder / "again", plan, teacher=teacher, examples=data.train)
        shutil.rmtree(folder / "again")

    found = rounds({"bare": bare, "with batches": with_batches, "recording": recording}, count)
    ratios = {name: ratio(found, "recording", name) for name in ("bare", "with batches")}
    return {"rows": RECORDED, "rounds": count, "recording to": ratios, "seconds": found}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    count = parser.parse_args().rounds
    torch.set_num_threads(1)
    results: dict[str, Any] = {"environment": environment()}
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in (
            ("recording", lambda: recording_costs(Path(folder), count=count)),
            ("batches of 1024", lambda: step_costs(Path(folder), batch_size=1024, count=count)),
            ("batches of 256", lambda: step_costs(Path(folder), batch_size=256, count=count)),
        ):
            results[name] = measure()
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(name, json.dumps(results[name].get("to the student alone", results[name].get("recording to")), indent=1), flush=True)


if __name__ == "__main__":
    main()
