"""What bits are flipped in (finished and stopped runs, a transfer set, a recording that is not finished, a comparison), and what is done with it.

A use is a function of the folder, or of a copy of it, that returns what came of it, so that two outcomes can be compared.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import darkknowledge
from benchmarks.faults.children import Child
from benchmarks.faults.telling import tell_of_states
from benchmarks.faults.world import content
from darkknowledge import TransferSet
from darkknowledge.errors import IntegrityError
from darkknowledge.model import fingerprint
from darkknowledge.pipeline.list import list_runs
from darkknowledge.pipeline.verify import verify

NETWORK = {"name": "hinton_mlp", "hidden": [16]}
RECIPE: dict[str, Any] = {"epochs": 2, "batch_size": 128, "threads": 1, "checkpoint_every": 0.0, "log_every": 1}
QUIET = {"progress": False}
STOPPED_AFTER = 17
"""Steps of 20, one of them in the last epoch, so that going on takes a moment."""

Use = Callable[[Path], object]


@dataclass(frozen=True)
class Artefact:
    """A folder, and what is done with it, in the order in which a user would."""

    name: str
    folder: Path
    uses: dict[str, Use]
    only: str = "**/*"
    """The files in which bits are flipped, """
    but: tuple[str, ...] = ()
    """and those of them in which they are not."""

    def kinds(self) -> dict[str, list[str]]:
        """The files by kind: their names without numbers and digests."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.folder.glob(self.only)):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and path.stat().st_size and name not in self.but:
                found.setdefault(re.sub(r"[0-9a-f]{64}|\d{5,}", "*", name), []).append(name)
        return found


class Makings:
    """All artefacts, made in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.teacher, self.set, self.student = folder / "teacher", folder / "set", folder / "student"

    def make(self) -> list[Artefact]:
        """Train, record, distill, evaluate, stop."""
        darkknowledge.train(NETWORK, "digits", training=RECIPE, logging=QUIET, out=self.teacher)
        self.record(self.set)
        self.distill(self.student)
        for weights in ("last", "best"):
            self.evaluate(self.student, weights)
        stopped, half, comparison = self.folder / "stopped", self.folder / "half", self.folder / "comparison"
        self.stop(stopped)
        self.record(half, shard="1/2")
        self.compare(comparison)
        before, newest = sorted(path.relative_to(stopped) for path in stopped.glob("checkpoint/*"))
        earlier = Path(shutil.copytree(stopped, self.folder / "earlier"))
        (earlier / newest).unlink()
        shown: dict[str, Use] = {"dk list": listed, "dk verify": verify_copy}
        finished: dict[str, Use] = {"resume": self.reopen, "evaluate": self.evaluate, "evaluate, best": self.evaluate_best}
        return [
            Artefact("finished run", self.student, finished | shown),
            Artefact("stopped run", stopped, {"resume": self.distill, **shown}, but=(before.as_posix(),)),
            Artefact("stopped run without its newest state", earlier, {"resume": self.distill}, only="checkpoint/*"),
            Artefact("transfer set", self.set, {"open": open_set, "distill": self.distill_from_set, "dk verify": verify_copy}),
            Artefact("unfinished set", half, {"record": self.record}),
            Artefact("comparison", comparison, shown, only="*"),
        ]

    def record(self, out: Path, **options: Any) -> object:
        """Record, or go on; what lies there."""
        more = {"shard_rows": 256, "threads": 1, "progress": False} | options
        darkknowledge.record(self.teacher, "digits", out, **more)
        return content(out)

    def compare(self, out: Path) -> None:
        """The whole way with the teacher that is there."""
        teacher = {"source": [str(self.teacher)]}
        darkknowledge.run("digits", student=NETWORK, teacher=teacher, training=RECIPE, seeds=1, logging=QUIET, out=out)

    def distill(self, out: Path) -> object:
        """Distill from the recorded set, or go on; the network, its scores and the records."""
        return self.reopen(out), [(out / name).read_bytes() for name in ("metrics.jsonl", "metrics.csv")]

    def reopen(self, out: Path) -> object:
        """The same of a run that may be finished, whose records are left as they are."""
        done = darkknowledge.distill(self.teacher, NETWORK, "digits", transfer=self.set, training=RECIPE, logging=QUIET, out=out, resume=True)
        return fingerprint(done.network), done.last, done.best

    def distill_from_set(self, found: Path) -> object:
        """A step of a student of the set alone, in a folder beside it."""
        out, recipe = found.parent / "student-of-it", {**RECIPE, "steps": 1}
        return fingerprint(darkknowledge.distill(None, NETWORK, "digits", transfer=found, training=recipe, logging=QUIET, out=out).network)

    def evaluate(self, run: Path, weights: str = "last") -> object:
        """All numbers and the answers."""
        (found,) = darkknowledge.evaluate(run, cost=False, threads=1, weights=weights)
        return {**found.to_dict(), "name": None}, found.answers.logits.numpy().tobytes()

    def evaluate_best(self, run: Path) -> object:
        """The same of the best epoch."""
        return self.evaluate(run, "best")

    def stop(self, out: Path) -> None:
        """Distill in a child that stops when asked to, in the middle."""

        def job(tell: Any) -> None:
            tell_of_states(tell, out)
            self.distill(out)

        child = Child(job)
        while child.code is None and not ((saved := child.last("saved")) and saved.place[0] >= STOPPED_AFTER):
            child.listen(0.002)
        child.send(signal.SIGTERM)
        if child.end() != 128 + signal.SIGTERM:
            raise RuntimeError(f"a run could not be stopped: {child.message}")


def listed(run: Path) -> object:
    """The rows of ``dk list``, without where and when."""
    rows = [replace(row, path=Path(), started="") for row in list_runs(run.parent)]
    if any(row.status == "damaged" for row in rows):
        raise IntegrityError("shown as damaged")
    return [asdict(row) for row in rows]


def verify_copy(folder: Path) -> object:
    """How many things were found whole."""
    return len(verify(folder))


def open_set(folder: Path) -> object:
    """Rows and identity."""
    found = TransferSet.open(folder)
    return len(found), found.identity
