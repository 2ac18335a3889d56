"""The body of every stage that trains: a run folder, the loop, and what is left of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from darkknowledge import model as model_room
from darkknowledge.contract import Objective, Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.model import Network
from darkknowledge.pipeline._materials import split_fingerprint
from darkknowledge.pipeline._parts import LoggingSettings
from darkknowledge.pipeline.settings import StageSettings
from darkknowledge.runs.folder import RunFolder, open_run, refuse_links
from darkknowledge.teacher import check_pairing
from darkknowledge.training.metric_files import MetricFiles
from darkknowledge.training.precision import resolve_device
from darkknowledge.training.progress import make_progress
from darkknowledge.training.recipe import Recipe
from darkknowledge.training.validation import Score
from darkknowledge.training.watching import Watcher

if TYPE_CHECKING:
    from darkknowledge.training.learner import Fitted


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: its folder, the network of the last epoch (the primary one), and the validation scores."""

    path: Path
    network: Network
    last: Score | None
    best: Score | None


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that one training needs, ready to go."""

    network: Network
    objective: Objective
    data: Dataset
    recipe: Recipe
    teacher: Teacher | None
    facts: dict[str, Any]


def train_in_folder(kind: str, settings: StageSettings, prepare: Callable[[Report], Job], report: Report | None = None) -> Trained:
    """Make or reopen the run folder, prepare the job, train, and save; the folder goes again when the preparation fails.

    The folder comes first, so that a path that cannot be used is found before anything slow.
    """
    console = Console(stderr=True)
    report = report or (lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    run, fresh = open_folder(kind, settings)
    if run.finished:
        report(f"{run.path} is already finished")
        return _reopen(run, settings)
    with run.working():
        with removed_on_failure(run, fresh):
            job = prepare(report)
            run.require_space(12 * sum(tensor.nbytes for tensor in job.network.state_dict().values()))
            _require_same_materials(run, job)
            check_pairing(job.network.spec.class_names, job.data.class_names, teacher="network", student="data")
            resolve_device(job.recipe.device)  # refuses a device that is not there
            watchers = _watchers(run, settings, console, report)
        run.note(**_identity(job))
        # Fabric takes seconds to import, and most mistakes are found without it.
        from darkknowledge.training.loop import fit

        report(job.data.describe())
        report(f"objective: {job.objective.formula()}")
        began = time.monotonic()
        fitted = fit(
            job.network,
            job.objective,
            job.data.train,
            job.recipe,
            validation=job.data.validation,
            teacher=job.teacher,
            name=run.path.name,
            watchers=watchers,
            checkpoint=run.path / "checkpoint",
        )
        _keep(run, job, fitted, seconds=time.monotonic() - began)
    return Trained(run.path, job.network, fitted.last, fitted.best)


def open_folder(kind: str, settings: StageSettings) -> tuple[RunFolder, bool]:
    """The folder of a new run, or of the one to resume, and whether it was made just now."""
    run = folder_to_resume(kind, settings)
    return (run, False) if run else (RunFolder.create(settings.out, kind=kind, config=settings.model_dump(mode="json")), True)


def folder_to_resume(kind: str, settings: StageSettings) -> RunFolder | None:
    """The run to go on with, where one is asked for and was begun.

    Raises:
        UsageError: it is no run, not of this kind, or has another configuration.
    """
    if settings.resume and settings.out is None:
        raise UsageError("resume=true does not say which run to go on with", fix="name its folder with out=…")
    if not settings.resume or settings.out is None or not settings.out.exists():
        return None
    run = open_run(settings.out, finished=False)
    if run.record["kind"] != kind:
        raise UsageError(f"{run.path} was made by {run.record['kind']}, not by {kind}", fix=f"dk {run.record['kind']} goes on with it")
    _require_same(run.config, settings.model_dump(mode="json"))
    refuse_links(run)
    return run


def _require_same(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> None:
    """Refuse to go on with another configuration; who hears of the run and how it is called may change."""
    for key in sorted({*before, *now} - {"logging", "out", "resume", "plugins"}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            _require_same(old, new, f"{prefix}{key}.")
        elif old != new:
            raise UsageError(
                f"the run to resume has {prefix}{key}={old}, and now it is {new}",
                why="a resumed run is the run that was begun",
                fix=f"leave out {prefix}{key}, or start a new run with another out=…",
            )


def _identity(job: Job) -> dict[str, Any]:
    """What the run learns from: its data, the part of it, its teacher."""
    return {"data_fingerprint": job.data.fingerprint, "split_fingerprint": split_fingerprint(job.data), **job.facts}


def _require_same_materials(run: RunFolder, job: Job) -> None:
    """Refuse to go on with other data or another teacher under the same names. A run that was just made has none yet."""
    before, now = run.record, _identity(job)
    names = {"data_fingerprint": "data", "split_fingerprint": "split", "teacher_fingerprints": "teacher", "transfer": "transfer set"}
    for name, what in names.items():
        if before.get(name, now.get(name)) != now.get(name):
            raise IntegrityError(
                f"the {what} is no longer what {run.path} was begun with",
                why="a resumed run is the run that was begun",
                fix="bring it back, or start a new run with another out=…",
            )


@contextmanager
def removed_on_failure(run: RunFolder, fresh: bool) -> Iterator[None]:
    """Nothing half-made stays behind when there was nothing to train."""
    try:
        yield
    except BaseException:
        if fresh:
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def _watchers(run: RunFolder, settings: StageSettings, console: Console, report: Report) -> list[Watcher]:
    logging: LoggingSettings = settings.logging
    watchers: list[Watcher] = [MetricFiles(run.path)]
    if logging.progress:
        watchers.append(make_progress(console))
    if logging.wandb:
        from darkknowledge.training.wandb_logger import WandbLogger

        watchers.append(WandbLogger(run.path, project=logging.project, config=run.config, report=report))
    if logging.tensorboard:
        from darkknowledge.training.tensorboard_logger import TensorboardLogger

        watchers.append(TensorboardLogger(run.path))
    return watchers


def _keep(run: RunFolder, job: Job, fitted: Fitted, *, seconds: float) -> None:
    """Save the weights of the last epoch and of the best one; the training state has done its work."""
    model_room.save(job.network, run.path / "model")
    if fitted.best_weights is not None:
        best = deepcopy(job.network)
        best.load_state_dict(dict(fitted.best_weights))
        model_room.save(best, run.path / "best")
    shutil.rmtree(run.path / "checkpoint", ignore_errors=True)
    run.note(
        steps=fitted.steps,
        seconds=round(seconds, 3),
        device=fitted.device,
        precision=fitted.precision,
        compiled=fitted.compiled,
        validation={
            "last": asdict(fitted.last) if fitted.last else None,
            "best": asdict(fitted.best) if fitted.best else None,
            "best_epoch": fitted.best_epoch,
        },
        objective=job.objective.formula(),
        model_fingerprint=model_room.fingerprint(job.network),
    )


def _reopen(run: RunFolder, settings: StageSettings) -> Trained:
    network = model_room.load(run.path / "model", plugins=settings.plugins)
    scores = run.record["validation"]
    last, best = (Score(**scores[key]) if scores[key] else None for key in ("last", "best"))
    return Trained(run.path, network, last, best)
