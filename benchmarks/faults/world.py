"""What is killed, flipped and resumed: a small network on the digits, and a recording of what it answers."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import darkknowledge
from benchmarks.faults.children import Child, Job, Tell
from darkknowledge import Dataset, Frozen, model
from darkknowledge.data import load
from darkknowledge.model import Network

NETWORK: dict[str, Any] = {"name": "hinton_mlp", "hidden": [64], "hidden_dropout": 0.2}
TRAINING: dict[str, Any] = {"epochs": 3, "batch_size": 64, "ema": 0.99, "threads": 1, "checkpoint_every": 0.0, "log_every": 1}
"""57 steps; a state is saved after each of them and after each epoch."""
RECORDING: dict[str, Any] = {"views": 4, "shard_rows": 512, "batch_size": 256, "threads": 1, "progress": False, "check": False}
"""4,668 rows in 10 files."""
QUIET: dict[str, Any] = {"progress": False}


@dataclass(frozen=True)
class World:
    """A folder to work in, the data and an (untrained) teacher in memory, and how a child takes hold of them.

    ``temporary`` stands in for the folder of temporary files while a child works: nothing durable may pass through it.
    """

    folder: Path
    data: Dataset
    teacher: Network
    temporary: Path | None = None

    @classmethod
    def make(cls, folder: Path, *, temporary: Path | None = None) -> World:
        """Load the data and import everything, so that children find it there."""
        torch.set_num_threads(1)  # a forked child can't use its parent's threads
        data = load("digits", augment="jitter")
        torch.manual_seed(0)
        spec: dict[str, Any] = {"num_classes": 10, "input_shape": data.input_shape, "mean": data.mean, "std": data.std}
        made = cls(folder, data, model.build("hinton_mlp", hidden=(16,), class_names=data.class_names, **spec).eval(), temporary)
        child = made.start(lambda tell: made.train(folder / "warm", {"steps": 1}))
        import_all()
        if child.end() != 0:
            raise RuntimeError(child.message)
        return made

    def start(self, job: Job) -> Child:
        """A child that does a job in this world."""

        def work(tell: Tell) -> None:
            if self.temporary is not None:
                os.environ["TMPDIR"], tempfile.tempdir = str(self.temporary), str(self.temporary)
            job(tell)

        return Child(work)

    def train(self, out: Path, options: dict[str, Any] | None = None) -> Network:
        """Train the network in ``out``, or go on with it there."""
        training = TRAINING | (options or {})
        return darkknowledge.train(NETWORK, self.data, out=out, resume=True, training=training, logging=QUIET).network

    def record(self, out: Path, **options: Any) -> None:
        """Record the teacher's answers in ``out``, or go on with it there."""
        darkknowledge.record(Frozen(self.teacher, self.data.class_names), self.data, out, **RECORDING | options)


def import_all() -> None:
    """What the stages import when they begin to work."""
    for name in ("torch._dynamo", *(f"darkknowledge.{room}" for room in ("pipeline.distill", "pipeline.record", "pipeline.train", "training.loop"))):
        import_module(name)


def digest(value: Any) -> str:
    """SHA-256 of tensors, numbers and text, through dictionaries, lists and tuples."""
    found = hashlib.sha256()
    _add(found, value)
    return found.hexdigest()


def _add(found: Any, value: Any) -> None:
    match value:
        case Tensor():
            flat = value.detach().cpu().contiguous().reshape(-1)
            found.update(f"{value.dtype} {tuple(value.shape)}".encode() + flat.view(torch.uint8).numpy().tobytes())
        case dict():
            for key, item in sorted(value.items(), key=lambda pair: str(pair[0])):
                found.update(f"{key!r}:".encode())
                _add(found, item)
        case list() | tuple():
            found.update(f"[{len(value)}".encode())
            for item in value:
                _add(found, item)
        case _:
            found.update(f"{value!r};".encode())


def fresh(folder: Path) -> Path:
    """A name under which nothing lies."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def leftovers(folder: Path) -> list[str]:
    """Files of writers that ended without removing them."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(".*.tmp-*"))


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
