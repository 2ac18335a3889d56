"""What the fault scripts share: a small teacher of the digits, recordings of its answers, children that die, and a look at what they left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import darkknowledge
from darkknowledge import Dataset, Frozen, model
from darkknowledge.contract import Batch, Output
from darkknowledge.data import load

DATA = {"name": "digits", "augment": "jitter"}
DK = str(Path(sys.executable).with_name("dk"))
BATCH = 256
KILLED = -signal.SIGKILL


class Counted(Frozen):
    """A teacher that counts, where other processes see it, the rows that it is asked to record; it may be made slower."""

    def __init__(self, network: torch.nn.Module, class_names: Sequence[str]) -> None:
        super().__init__(network, class_names)
        self.rows = torch.zeros(1, dtype=torch.int64).share_memory_()
        self.pause = 0.0

    def __call__(self, batch: Batch) -> Output:
        if batch.views is not None:  # the look at the teacher's accuracy shows plain pictures
            self.rows += len(batch)
            time.sleep(self.pause)
        return super().__call__(batch)


@dataclass(frozen=True)
class World:
    """A folder to work in, a teacher's run in it, and the same teacher and its data in memory."""

    folder: Path
    run: Path
    data: Dataset

    @classmethod
    def make(cls, folder: Path) -> World:
        """Train the teacher, which takes a few seconds."""
        recipe = {"epochs": 6, "learning_rate": 0.05, "batch_size": 64, "threads": 1}
        network = {"name": "hinton_mlp", "hidden": [16]}
        darkknowledge.train(network, "digits", out=folder / "teacher", training=recipe, logging={"progress": False})
        made = cls(folder, folder / "teacher", load("digits", augment="jitter"))
        made.record(made.teacher(), folder / "first")  # so that children find everything imported
        return made

    def teacher(self, *, pause: float = 0.0) -> Counted:
        """The teacher with a count of its own."""
        made = Counted(model.load(self.run / "model"), self.data.class_names)
        made.pause = pause
        return made

    def words(self, out: Path, *more: str) -> list[str]:
        """The command line that records it."""
        return [DK, "record", f"teacher={self.run}", "data=digits", "data.augment=jitter", f"out={out}", "threads=1", *more]

    def record(self, teacher: Counted, out: Path, **options: Any) -> None:
        """The same in this process."""
        darkknowledge.record(teacher, self.data, out, threads=1, progress=False, batch_size=BATCH, **options)


def forked(job: Callable[[], object], errors: Path) -> int:
    """The process id of a child that does a job; what it says goes into a file."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            job()
            os._exit(0)
        except darkknowledge.errors.DarkKnowledgeError as error:
            os.write(2, f"error: {error}\n".encode())
            os._exit(error.exit_code)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(1)
    return child


def ended(child: int) -> int:
    """A child's exit code when it has ended; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of the files of every shard that has its sidecar."""
    names = [path.with_suffix(ending) for path in (folder / "shards").glob("0*.json") for ending in (".arrow", ".json")]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in names if path.exists()}


def phase(folder: Path) -> str:
    """How far a recording in a folder has come."""
    if (folder / "manifest.json").exists():
        return "manifest, to be tidied" if (folder / "plan.json").exists() or list(folder.glob(".*")) else "whole"
    if not folder.exists():
        return "no folder yet"
    if not (folder / "plan.json").exists():
        return "a folder without a plan"
    if list(folder.rglob(".*.tmp-*")):
        return "in the middle of a file"
    shards = sorted((folder / "shards").glob("0*"))
    if shards and len(shards) == 2 * int(shards[0].stem[-5:]):
        return "all shards, no manifest"
    return "in the middle of a shard" if shards else "no shard yet"


def run(words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """A program to its end."""
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=600, **options)


def fresh(folder: Path) -> Path:
    """A name under which nothing lies."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
