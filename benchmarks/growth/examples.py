"""One phase at one number of examples, in a process of its own: seconds of processor time, and bytes that private memory grew by at its worst.

Pictures are 8×8 and networks small, so that a million examples take seconds; what grows with the number of examples is the same for large ones. A
phase's own time and memory are counted, and not those of making the data or of importing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks._measuring import watched
from benchmarks._pictures import noise, perceptron
from benchmarks.transfer.recorded import recorded

from darkknowledge import Recipe
from darkknowledge.objective import build as build_objective
from darkknowledge.teacher import Frozen
from darkknowledge.training import fit
from darkknowledge.transfer import RecordedTeacher, TransferSet

SIDE, WIDTH, BATCH = 8, 64, 256
"""Of a picture, of the one hidden layer, of a step."""


def measured(phase: Callable[[], object]) -> dict[str, Any]:
    """Seconds and bytes of a phase."""
    with watched() as grown:
        began = time.process_time()
        phase()
        seconds = time.process_time() - began
    return {"seconds": seconds, "peak": grown.peak, "end": grown.end}


def recording(count: int, folder: str) -> dict[str, Any]:
    """A teacher's answers recorded."""
    torch.set_num_threads(1)
    data = noise(count, side=SIDE)
    teacher = Frozen(perceptron(data, WIDTH, layers=1), data.class_names)
    recorded(teacher, noise(BATCH, side=SIDE), Path(f"{folder}-before"))  # what the first recording of a process imports is no growth
    return measured(lambda: recorded(teacher, data, Path(folder)))


def epoch(count: int, folder: str) -> dict[str, Any]:
    """An epoch of a student that learns from the recorded answers."""
    torch.set_num_threads(1)
    data = noise(count, side=SIDE)
    recipe = Recipe(epochs=1, batch_size=BATCH, learning_rate=0.01, warmup=0.0, precision="fp32", threads=1, views=1)
    objective = build_objective("distillation", temperature=4.0, alpha=0.9)
    student = perceptron(data, WIDTH, layers=1)
    return measured(lambda: fit(student, objective, data.train, recipe, teacher=RecordedTeacher(TransferSet.open(folder))))


def reading(count: int, folder: str) -> dict[str, Any]:
    """Every row once, in random batches."""
    torch.set_num_threads(1)

    def read() -> None:
        found = TransferSet.open(folder)
        for positions in np.array_split(np.random.default_rng(0).permutation(count), -(-count // BATCH)):
            found[torch.from_numpy(positions)].logits().sum()

    return measured(read)


PHASES = ("recording", "epoch", "reading")
