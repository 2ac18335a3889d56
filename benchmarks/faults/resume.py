"""Runs that are stopped after every step, by SIGTERM and by SIGKILL, and go on: their end must be that of the undisturbed run, to the last bit.

Three epochs of a student with dropout and an average of its weights on photos that are augmented anew in each view, their answers recorded before;
decoded by the process itself, or by two more.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import darkknowledge
from benchmarks.faults.children import Child, Job, Tell
from benchmarks.faults.telling import tell_of_states
from benchmarks.faults.world import QUIET, digest, fresh
from darkknowledge import Dataset, Frozen, model
from darkknowledge.data import load
from darkknowledge.errors import BusyError
from darkknowledge.runs.files import sha256
from darkknowledge.training.metric_files import MetricFiles

STUDENT: dict[str, Any] = {"name": "hinton_mlp", "hidden": [24], "input_dropout": 0.1, "hidden_dropout": 0.3}
RECIPE: dict[str, Any] = {"epochs": 3, "batch_size": 5, "ema": 0.9, "clip_norm": 1.0, "threads": 1, "log_every": 3}
STEPS, VIEWS = 39, 2
"""13 a epoch; two views of each picture, which the epochs share."""
SIGNALS = {"SIGTERM": (signal.SIGTERM, 1e9), "SIGKILL": (signal.SIGKILL, 0.0)}
"""The signals, and the seconds between two saved states: whoever is asked to stop saves one, whoever is killed must have saved it."""
ORPHANS = 30.0
"""Seconds for which a start is tried again where the folder is still held: a loader's processes outlive the one that was killed by some seconds."""


@dataclass(frozen=True)
class Photos:
    """A folder to work in, small photos in it, and the answers of an (untrained) teacher to them."""

    folder: Path
    data: dict[int, Dataset]
    """By the number of processes that decode them."""

    @classmethod
    def make(cls, folder: Path, workers: Sequence[int] = (0, 2)) -> Photos:
        """Draw the photos, and record the answers."""
        torch.set_num_threads(1)  # a forked child can't use its parent's threads
        draw(folder / "photos")
        options: dict[str, Any] = {"root": folder / "photos", "image_size": 16, "augment": "photo", "validation": 9}
        data = {count: load("image_folder", workers=count, **options) for count in workers}
        first = data[workers[0]]
        torch.manual_seed(0)
        teacher = model.build("hinton_mlp", num_classes=3, input_shape=first.input_shape, mean=first.mean, std=first.std, hidden=(8,)).eval()
        out = {"out": folder / "set", "views": VIEWS, "check": False, "threads": 1, "progress": False}
        darkknowledge.record(Frozen(teacher, first.class_names), first, **out)  # type: ignore[arg-type]
        return cls(folder, data)

    def run(self, out: Path, *, workers: int, stop: tuple[int, int] | None = None, every: float = 1e9) -> Job:
        """Distill in ``out``, or go on there; ``stop`` is a step and the signal that this process gets after it."""

        def job(tell: Tell) -> None:
            tell_of_states(tell, out)
            if stop is not None:
                stop_after(*stop)
            recipe = RECIPE | {"checkpoint_every": every}
            options: dict[str, Any] = {"transfer": self.folder / "set", "training": recipe, "logging": QUIET}
            done = darkknowledge.distill(None, STUDENT, self.data[workers], out=out, resume=True, **options)
            files = [sha256(out / name) for name in ("metrics.jsonl", "metrics.csv", "model/model.safetensors", "best/model.safetensors")]
            tell("files", digest([*files, done.last and done.last.nll, done.best and done.best.nll]))

        return job


def draw(folder: Path) -> None:
    """Pictures of three classes, noise of three colours, 24 and 30 pixels wide."""
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 3)):
        for index, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = random.integers(0, 160, (24, 30 - 6 * (number % 2), 3), np.uint8)
                pixels[..., index] += 90
                Image.fromarray(pixels).save(folder / split / name / f"{number:02d}.png")


def stop_after(step: int, number: int) -> None:
    """Have this process get a signal after a step, before anything is saved of it."""
    heard = MetricFiles.step

    def stopping(self: MetricFiles, done: int) -> None:
        heard(self, done)
        if done == step:
            os.kill(os.getpid(), number)

    MetricFiles.step = stopping  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class End:
    """What a run came to: everything of its last state, and the files that it leaves."""

    state: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def of(cls, child: Child) -> End:
        """What a child told.

        Raises:
            RuntimeError: it did not come to its end.
        """
        if child.end() != 0 or (ended := child.last("ended")) is None or (files := child.last("files")) is None:
            raise RuntimeError(f"a run did not come to its end (exit code {child.code}): {child.message[-500:]}")
        return cls(ended.values, files.values)


@dataclass(slots=True)
class Stopped:
    """What came of the runs that were stopped in one way."""

    cases: int = 0
    identical: int = 0
    others: list[str] = field(default_factory=list)
    busy: int = 0
    """Next starts that were refused because the folder was still held, though the process that held it was dead."""

    def note(self, fault: str | None) -> None:
        """One more."""
        self.cases += 1
        self.identical += fault is None
        self.others += [] if fault is None else [fault]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"cases": self.cases, "identical": self.identical, "refused as busy at first": self.busy, "others": self.others}


def stop_everywhere(photos: Photos, steps: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each signal and number of workers what came of the runs that were stopped after each of ``steps``."""
    workers = list(photos.data)
    expected = End.of(Child(photos.run(fresh(photos.folder / "undisturbed"), workers=workers[0])))
    for count in workers[1:]:
        undisturbed = Stopped()
        undisturbed.note(None if End.of(Child(photos.run(fresh(photos.folder / "run"), workers=count))) == expected else "the undisturbed run")
        yield f"undisturbed, {count} workers", undisturbed.as_json()
    for name in SIGNALS:
        for count in workers:
            stopped = Stopped()
            for step in steps:
                stopped.note(fault_of(photos, step, name, count, expected, stopped))
            yield f"{name}, {count} workers", stopped.as_json()


def fault_of(photos: Photos, step: int, name: str, workers: int, expected: End, stopped: Stopped) -> str | None:
    """Stop a run after a step and go on; what is wrong with it, if anything."""
    (number, every), out = SIGNALS[name], fresh(photos.folder / "run")
    first = Child(photos.run(out, workers=workers, stop=(step, number), every=every))
    wanted = 128 + number if number == signal.SIGTERM else -number
    if first.end() != wanted:
        return f"step {step}: exit code {first.code} and not {wanted}: {first.message[-200:]}"
    second = Child(photos.run(out, workers=workers, every=every))
    if second.end() == BusyError.exit_code:
        stopped.busy += 1
        until = time.monotonic() + ORPHANS
        while second.end() == BusyError.exit_code and time.monotonic() < until:
            second = Child(photos.run(out, workers=workers, every=every))
    try:
        found = End.of(second)
    except RuntimeError as error:
        return f"step {step}: {error}"
    begins = second.said_already("begins")
    # A kill after a step takes that step with it, and nothing more.
    least = step if number == signal.SIGTERM else step - 1
    if begins is None or begins.place[0] < least:
        return f"step {step}: it went on from {begins and begins.place}"
    differing = [part for part in ("state", "files") if getattr(found, part) != getattr(expected, part)]
    return f"step {step}: another {' and other '.join(differing)}" if differing else None
