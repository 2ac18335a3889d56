"""Five students of one MNIST teacher at five temperatures: ours, and two programs written by hand, from the files to the saved students.

    uv run python -m benchmarks end_to_end --data FOLDER    (FOLDER holds MNIST/raw)

All train the same network for the same epochs on 55,000 pictures in batches of 256 (SGD with Nesterov momentum, an epoch of warm-up, a cosine, one
thread), look at 5,000 validation pictures after each epoch, and have the same teacher, which is trained first and counted apart. Every program is a
process of its own and its whole life counts: start-up, reading, in our case recording the teacher's answers, saving. The test pictures are read at
the end, once for every student. Without and with shifts of at most two pixels.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks._measuring import Noise, Run, Seconds, ratio, timed
from benchmarks._measuring.noise import sort
from benchmarks._measuring.process import ROOT
from benchmarks._measuring.ratios import as_json
from benchmarks.end_to_end.scoring import percent_wrong
from benchmarks.end_to_end.textbook import ALPHA, BATCH, MOMENTUM, RATE, STUDENT, TEACHER, VALIDATION

OURS, NAIVE, MATCHED = "ours", "naive", "matched"
NEEDS_DATA = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How much is trained."""

    epochs: int = 5
    teacher_epochs: int = 10
    temperatures: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)


def measure(run: Run) -> int:
    """A round of the three programs takes minutes: one is made where other benchmarks make ten."""
    if run.data is None:
        run.note("give the folder that holds MNIST/raw: python -m benchmarks end_to_end --data FOLDER", loud=True)
        return NEEDS_DATA
    size = Size(epochs=1, teacher_epochs=1, temperatures=(1.0, 4.0)) if run.quick else Size()
    with tempfile.TemporaryDirectory() as folder:
        compile_modules(Path(folder))
        teacher = Path(folder) / "teacher"
        took = lived([dk_train(run.data, teacher, size)], Path(folder))
        run.add("teacher, counted apart", {**took._asdict(), "epochs": size.teacher_epochs, "test error %": percent_wrong(teacher, run.data)})
        for transform in ("none", "jitter"):
            run.add(f"pictures: {transform}", race(run, Path(folder) / transform, teacher, size, transform))
    return 0


def race(run: Run, folder: Path, teacher: Path, size: Size, transform: str) -> dict[str, Any]:
    """The programs in turns; seconds, ratios and test errors."""
    assert run.data is not None
    seconds: dict[str, list[Seconds]] = {OURS: [], NAIVE: [], MATCHED: []}
    errors: dict[str, list[list[float]]] = {name: [] for name in seconds}
    reference: list[Seconds] = []
    for number in range(max(1, run.repeats // 10)):
        for name in random.Random(number).sample(sorted(seconds), len(seconds)):
            out = folder / f"{name}-{number}"
            reference.append(timed(sort, calls=10))
            took = lived(programs(name, out, alone(teacher, out), run.data, size, transform), folder.parent)
            seconds[name].append(took)
            errors[name].append([percent_wrong(path, run.data) for path in students(out, size)])
            run.note(f"{transform}, {name}: {took.processor:.1f} s of processor, {took.wall:.1f} s, test errors {errors[name][-1]} %")
    noise = Noise.of(reference)
    run.note(str(noise), loud=bool(noise.reasons))
    return summary(seconds, errors, size) | {"noise": asdict(noise)}


def summary(seconds: Mapping[str, Sequence[Seconds]], errors: Mapping[str, Sequence[Sequence[float]]], size: Size) -> dict[str, Any]:
    """What the record holds."""
    compared = {other: as_json(ratio(seconds[OURS], seconds[other])) for other in (NAIVE, MATCHED)}
    means = {name: round(mean(mean(each) for each in found), 3) for name, found in errors.items()}
    return {
        "epochs": size.epochs,
        "temperatures": size.temperatures,
        "ours /": compared,
        "mean test error %": means,
        "test errors %": errors,
        "seconds": {name: [took._asdict() for took in found] for name, found in seconds.items()},
    }


def lived(commands: Sequence[Sequence[str | Path]], folder: Path) -> Seconds:
    """Processor and wall seconds of the processes, one after the other."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=surroundings(folder))
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seconds(round(spent, 2), round(time.perf_counter() - wall, 2))


def compile_modules(folder: Path) -> None:
    """What every later start of Python finds: the modules that the programs import, as bytecode."""
    modules = "torch._dynamo", "torchvision", "lightning_fabric", "benchmarks.end_to_end.naive", "benchmarks.end_to_end.matched"
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], check=True, cwd=ROOT, env=surroundings(folder))


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of every program: one thread, and Python keeps its bytecode, as it does unless told not to."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "OMP_NUM_THREADS": "1"}


def alone(teacher: Path, out: Path) -> Path:
    """The teacher's run as it was before any student, so that its answers are recorded anew."""
    return Path(shutil.copytree(teacher, out / "teacher", ignore=shutil.ignore_patterns("transfer")))


def programs(name: str, out: Path, teacher: Path, data: Path, size: Size, transform: str) -> list[list[str | Path]]:
    """The commands of a competitor."""
    if name == OURS:
        return [dk_distill(data, teacher, out, size, transform)]
    words = ["--data", data, "--teacher", teacher / "model" / "model.safetensors", "--out", out, "--epochs", str(size.epochs)]
    shifts = ["--jitter"] if transform == "jitter" else []
    temperatures = ["--temperatures", *map(str, size.temperatures)]
    return [[sys.executable, "-m", f"benchmarks.end_to_end.{name}", *words, *shifts, *temperatures]]


def dk_train(data: Path, out: Path, size: Size) -> list[str | Path]:
    """The teacher, with the preset that suits MNIST."""
    words = ["model=preset/mnist_teacher", f"model.hidden=[{TEACHER},{TEACHER}]", "data.augment=jitter", f"training.epochs={size.teacher_epochs}"]
    return [dk(), "train", *shared(data), *words, f"out={out}"]


def dk_distill(data: Path, teacher: Path, out: Path, size: Size, transform: str) -> list[str | Path]:
    """The students, in one go."""
    words = [
        f"data.augment={transform}",
        f"student.hidden=[{STUDENT},{STUDENT}]",
        f"objective.alpha={ALPHA}",
        f"training.epochs={size.epochs}",
        f"training.learning_rate={RATE}",
        f"training.momentum={MOMENTUM}",
        "training.warmup=1.0",
    ]
    each = ",".join(f"{{temperature: {temperature}, name: t{temperature:g}}}" for temperature in size.temperatures)
    return [dk(), "distill", *shared(data), *words, f"teacher={teacher}", f"students=[{each}]", f"out={out / 'students'}"]


def shared(data: Path) -> list[str]:
    """What teacher and students have in common."""
    return [
        "data=mnist", f"data.root={data}", f"data.validation={VALIDATION}", f"training.batch_size={BATCH}", "training.threads=1",
        "logging.progress=false",
    ]  # fmt: skip


def students(out: Path, size: Size) -> list[Path]:
    """Where each student is saved: our run folder, or the file of a program written by hand."""
    ours = out.name.startswith(OURS)
    return [out / "students" / f"t{temperature:g}" if ours else out / f"{temperature:g}.pt" for temperature in size.temperatures]


def dk() -> Path:
    """Our command."""
    return Path(sys.executable).with_name("dk")
