"""A job: one call of the public API that leaves a run folder or a transfer set, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Literal

import darkknowledge
from darkknowledge.errors import DivergedError, IntegrityError
from darkknowledge.runs.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from darkknowledge import Evaluation


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data lies, where run folders go (gigabytes, not kept), and where results go (kilobytes, committed)."""

    data: Path
    work: Path
    results: Path

    def result(self, name: str) -> Path:
        """The record of a run."""
        return self.results / f"{name}.json"


@dataclass(frozen=True, slots=True)
class Job:
    """``name`` is the folder of what it leaves, ``needs`` are the jobs whose folders it reads, and ``arguments`` those of the function called.

    ``train`` and ``distill`` leave a record for each network (in a group of ``students`` the name of each after the job's), ``record`` leaves a
    transfer set and no record, ``measure`` a record of those it needs as one ensemble, and no folder.
    ``split`` is what the networks are judged on: ``validation`` in the selection, ``test`` once for each run of an experiment.
    """

    name: str
    kind: Literal["train", "record", "distill", "measure"]
    arguments: Mapping[str, Any]
    work: float
    """Seconds, roughly: what the time that is left is estimated from."""
    needs: tuple[Job, ...] = ()
    students: tuple[Mapping[str, Any], ...] = ()
    split: Literal["validation", "test"] = "test"
    weights: Literal["last", "best"] = "last"
    note: Mapping[str, Any] = field(default_factory=dict)
    """What it is, for its records: arm, width, seed and what else tells it from the others. A student's own settings join it."""

    @property
    def records(self) -> tuple[str, ...]:
        """The names of the records that it leaves."""
        return tuple(f"{self.name}/{student['name']}" for student in self.students) if self.kind == "distill" else (self.name,)

    @property
    def stamp(self) -> str:
        """Another one for each recipe, also of those that it needs."""
        what = [self.kind, self.arguments, self.students, self.split, self.weights, [need.stamp for need in self.needs]]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def kept(self, place: Place) -> bool:
        """Whether all its records are there.

        Raises:
            IntegrityError: one is of another recipe.
        """
        found = [path for name in self.records if (path := place.result(name)).exists()]
        for path in found:
            self._require_own(path, read_json(path).get("stamp"), "--results")
        return self.kind != "record" and len(found) == len(self.records)

    def left(self, place: Place) -> bool:
        """Whether what later jobs read is there.

        Raises:
            IntegrityError: another recipe left it, or a part of it.
        """
        folder, stamp = place.work / self.name, self._stamp_file(place)
        if folder.exists():
            self._require_own(folder, stamp.read_text(encoding="utf-8") if stamp.exists() else None, "--work")
        if self.kind == "record":
            return (place.work / self.name / "manifest.json").exists()
        return self.kind != "measure" and all(_over(place.work / name) for name in self.records)

    def _stamp_file(self, place: Place) -> Path:
        return place.work / "stamps" / self.name

    def _require_own(self, path: Path, stamp: str | None, option: str) -> None:
        if stamp != self.stamp:
            raise IntegrityError(f"{path} is of another recipe", fix=f"give {option} a folder of its own, or remove what the other recipe left")

    def run(self, place: Place) -> None:
        """Do it, or go on with it, and keep its records. Without a word: several jobs run at once."""
        if not self.left(place):
            self._stamp_file(place).parent.mkdir(parents=True, exist_ok=True)
            write_text(self._stamp_file(place), self.stamp)
            for name in {self.name, *self.records}:
                sweep(place.work / name)
            # The others of a group are trained to the end; the record says so of the one that is not.
            with suppress(DivergedError):
                DO[self.kind](self, place)
        if self.kind in ("train", "distill"):
            for name, own in zip(self.records, self.students or ({},), strict=True):
                keep(self, name, {**self.note, **own}, place)


def sweep(folder: Path) -> None:
    """Remove what a run left that was killed before it had written what it is, so that nobody could go on with it."""
    if (folder / "config.yaml").exists() and not (folder / "run.json").exists():
        rmtree(folder)
    elif folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def data(place: Place, options: Mapping[str, Any]) -> dict[str, Any]:
    """MNIST as a job wants it."""
    return {"name": "mnist", "root": str(place.data), **options}


def train(job: Job, place: Place) -> None:
    """A network and labels."""
    given = dict(job.arguments)
    out = place.work / job.name
    darkknowledge.train(given.pop("model"), data(place, given.pop("data")), **given, **_quietly(out))


def record(job: Job, place: Place) -> None:
    """A teacher's answers, or an ensemble's."""
    given = dict(job.arguments)
    teacher = [place.work / member.name for member in job.needs]
    darkknowledge.record(teacher, data(place, given.pop("data")), out=place.work / job.name, threads=1, progress=False, **given)


def distill(job: Job, place: Place) -> None:
    """Students that learn from a transfer set, in lockstep where they see the same batches."""
    given = dict(job.arguments)
    out = place.work / job.name
    (source,) = job.needs
    darkknowledge.distill_several(job.students, transfer=place.work / source.name, data=data(place, given.pop("data")), **given, **_quietly(out))


def measure(job: Job, place: Place) -> None:
    """Finished networks as one ensemble."""
    runs = [place.work / member.name for member in job.needs]
    *_, together = darkknowledge.evaluate(runs, split=job.split, ensemble="probability", cost=False, threads=1)
    record = {"stamp": job.stamp, "split": job.split, "model_fingerprints": [_fingerprint(run) for run in runs]}
    _write(job.name, {**job.note, **record, **numbers(together)}, place)


def _fingerprint(run: Path) -> str:
    found: str = read_json(run / "run.json")["model_fingerprint"]
    return found


DO: Mapping[str, Callable[[Job, Place], None]] = {"train": train, "record": record, "distill": distill, "measure": measure}


def _over(folder: Path) -> bool:
    """Whether a run came to its end, or to a loss that is no longer finite."""
    record = folder / "run.json"
    run = read_json(record) if record.exists() else {"status": "none"}
    return run["status"] == "finished" or (run["status"] == "failed" and "no longer finite" in run["error"])


def _quietly(out: Path) -> dict[str, Any]:
    return {"out": out, "resume": out.exists(), "logging": {"progress": False}}


def keep(job: Job, name: str, note: Mapping[str, Any], place: Place) -> None:
    """Measure a run and write its record, where it has none yet: what it was, its numbers, and which pictures it gets wrong as what.

    Raises:
        IntegrityError: it has one, of other weights: a teacher that was trained again elsewhere is another network than the one that was measured.
    """
    folder = place.work / name
    run = read_json(folder / "run.json")
    path = place.result(name)
    if path.exists():
        if read_json(path).get("model_fingerprint") != run.get("model_fingerprint"):
            fix = "give --results a folder of its own, or bring back the weights that were measured"
            raise IntegrityError(f"{folder} holds other weights than {path} was measured with", fix=fix)
        return
    record: dict[str, Any] = {**note, "stamp": job.stamp, "split": job.split, "weights": job.weights}
    if run["status"] != "finished":
        _write(name, {**record, "diverged": True}, place)
        return
    (evaluation,) = darkknowledge.evaluate(folder, split=job.split, weights=job.weights, cost=False, threads=1)
    if job.weights == "best":
        (last,) = darkknowledge.evaluate(folder, split=job.split, cost=False, threads=1)
        record["errors_of_last_epoch"] = last.accuracy.errors
    record |= {
        "objective": run["objective"],
        "steps": run["steps"],
        "precision": run["precision"],
        "best_epoch": run["validation"]["best_epoch"],
        "core_seconds": round(run["seconds"] / run.get("together", 1), 1),
        "model_fingerprint": run["model_fingerprint"],
        "teacher_fingerprints": run.get("teacher_fingerprints", []),
        "made_with": made_with(folder),
    }
    _write(name, record | numbers(evaluation), place)


def made_with(folder: Path) -> dict[str, Any]:
    """The hardware and the versions that the numbers may depend on."""
    found = read_json(folder / "environment.json")
    versions = {name: found["packages"][name] for name in ("darkknowledge", "torch", "numpy")}
    return {"processor": found["processor"], "cores": found["cores"], "python": found["python"], **versions}


def numbers(evaluation: Evaluation) -> dict[str, Any]:
    """What is kept of a measurement."""
    return {
        "errors": evaluation.accuracy.errors,
        "examples": evaluation.accuracy.examples,
        "nll": evaluation.calibration.nll,
        "ece": evaluation.calibration.ece,
        "wrong": wrong(evaluation),
    }


def _write(name: str, record: Mapping[str, Any], place: Place) -> None:
    """``name`` replaces that of a student, which is only a part of it."""
    place.result(name).parent.mkdir(parents=True, exist_ok=True)
    write_json(place.result(name), {**record, "name": name})


def wrong(evaluation: Evaluation) -> dict[str, int]:
    """For each example that is got wrong its id and the class that it is taken for."""
    answers = evaluation.answers
    taken_for = answers.logits.argmax(1)
    missed = (taken_for != answers.labels).nonzero()[:, 0]
    return {str(int(answers.ids[row])): int(taken_for[row]) for row in missed}
