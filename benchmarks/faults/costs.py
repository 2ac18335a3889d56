"""What safety costs: saving a training state beside a plain ``torch.save`` of it, and checking every byte beside a load with its first epoch."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Any

import torch

import darkknowledge
from benchmarks._measuring import Comparison, compare
from benchmarks._pictures import noise, perceptron
from benchmarks.faults.world import fresh
from darkknowledge import Dataset, Frozen, Recipe, TransferSet, model as model_room
from darkknowledge.model import Network
from darkknowledge.objective import DistillationLoss
from darkknowledge.runs.files import sha256, verify_manifest
from darkknowledge.training import fit
from darkknowledge.training.checkpoint import load_state, save_state
from darkknowledge.transfer import RecordedTeacher, verify

WIDTHS = (64, 800, 2400)
"""Hidden units of 784-H-H-10."""
PICTURES, STUDENT = 60_000, 300
"""A small student: its first epoch is short, and what is checked before it weighs the more."""
PLAIN, FLUSHED, OURS = "torch.save", "torch.save, flushed to the disk", "a saved training state"
EPOCH = "load and first epoch"


def saving(folder: Path, width: int, *, repeats: int) -> tuple[str, Comparison]:
    """A training state of a network of this width (weights, momentum, average, best) on the file system of ``folder``; its size in words."""
    state, numbers = training_state(fresh(folder / "trained"), width), count()
    saved, plain = fresh(folder / "saved"), folder / "plain.pt"

    def flushed() -> None:
        with plain.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    works = {PLAIN: lambda: torch.save(state, plain), FLUSHED: flushed, OURS: lambda: save_state(saved, state, name=f"{next(numbers):08d}")}
    found = compare(works, to=PLAIN, repeats=repeats)
    return f"{plain.stat().st_size / 1e6:.3g} MB", found


def training_state(folder: Path, width: int) -> dict[str, Any]:
    """A real one, after two epochs of two steps."""
    data = noise(512)
    part = data.train.select(torch.arange(256), labels=data.train.labels[:256])  # type: ignore[attr-defined]
    recipe = Recipe(epochs=2, batch_size=256, ema=0.9, checkpoint_every=0, threads=1, compile="off")
    fit(perceptron(data, width), DistillationLoss(alpha=0.0).mixture, data.train, recipe, validation=part, checkpoint=folder)
    state = load_state(folder)
    assert state is not None
    return state


def verifying(folder: Path, *, pictures: int, repeats: int) -> Comparison:
    """Every byte of a recorded set, of a network and of a training state, beside opening the set and the first epoch of a student of it."""
    data = noise(pictures)
    teacher = perceptron(data, 1200)
    transfer_set, network, states = fresh(folder / "set"), fresh(folder / "network"), fresh(folder / "states")
    darkknowledge.record(Frozen(teacher, data.class_names), data, transfer_set, check=False, threads=1, progress=False)
    student = perceptron(data, STUDENT)
    model_room.save(student, network)
    save_state(states, training_state(fresh(folder / "trained"), STUDENT), name="00000001")
    (state,) = states.glob("state-*.pt")
    works = {
        "transfer set": lambda: verify(transfer_set),
        "network": lambda: verify_manifest(network),
        "training state": lambda: sha256(state),
        EPOCH: lambda: first_epoch(transfer_set, student, data),
    }
    return compare(works, to=EPOCH, repeats=repeats)


def first_epoch(transfer_set: Path, student: Network, data: Dataset) -> None:
    """What comes after the checks, as ``dk distill`` does it."""
    found = TransferSet.open(transfer_set)
    teacher, recipe = RecordedTeacher(found.load()), Recipe(epochs=1, threads=1, views=1, compile="off", precision="fp32")
    fit(student, DistillationLoss(temperature=4).mixture, data.train, recipe, teacher=teacher)
