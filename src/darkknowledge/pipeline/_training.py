"""The body of every stage that trains: a run folder, the loop, and what is left of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from darkknowledge import model as model_room
from darkknowledge.contract import Objective, Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import DivergedError, IntegrityError
from darkknowledge.model import Network
from darkknowledge.pipeline._folders import note_changes, open_folder, removed_on_failure
from darkknowledge.pipeline._materials import split_fingerprint
from darkknowledge.pipeline._parts import LoggingSettings
from darkknowledge.pipeline._reporting import error_stream, reporter
from darkknowledge.pipeline.settings import StageSettings
from darkknowledge.runs.files import write_text
from darkknowledge.runs.folder import RunFolder
from darkknowledge.teacher import check_pairing
from darkknowledge.training.dispensable import Dispensable
from darkknowledge.training.metric_files import MetricFiles
from darkknowledge.training.precision import resolve_device
from darkknowledge.training.progress import make_progress
from darkknowledge.training.recipe import Recipe, same_batches
from darkknowledge.training.shared_progress import make_shared_progress
from darkknowledge.training.signals import stop_request, stoppable
from darkknowledge.training.validation import Score
from darkknowledge.training.watching import Watcher

if TYPE_CHECKING:
    from darkknowledge.training.student import Fitted


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


Outcome = Trained | DivergedError
"""What becomes of one of several runs: the others go on when one diverges."""


def train_in_folder(kind: str, settings: StageSettings, prepare: Callable[[Report], Job], report: Report | None = None) -> Trained:
    """Make or reopen the run folder, prepare the job, train, and save; the folder goes again when the preparation fails.

    The folder comes first, so that a path that cannot be used is found before anything slow.
    """
    (outcome,) = train_in_folders(kind, [settings], lambda indices, report: [prepare(report)], report)
    if isinstance(outcome, DivergedError):
        raise outcome
    return outcome


@stoppable()
def train_in_folders(
    kind: str,
    settings: Sequence[StageSettings],
    prepare: Callable[[Sequence[int], Report], Sequence[Job]],
    report: Report | None = None,
) -> list[Outcome]:
    """`train_in_folder` for several at once, which share their data: those that see the same batches are trained together, group after group.

    ``prepare`` makes the jobs of those that are not finished yet, whose numbers it is given.
    """
    console = error_stream()
    report = report or reporter(console)
    outcomes: dict[int, Outcome] = {}
    with ExitStack() as working:
        with ExitStack() as preparing:
            places = [_Place.open(kind, each, preparing) for each in settings]
            for index, place in enumerate(places):
                if place.run.finished:
                    report(f"{place.run.path} is already finished")
                    shutil.rmtree(place.run.path / "checkpoint", ignore_errors=True)  # where it was killed before that
                    outcomes[index] = _reopen(place.run, place.settings)
                else:
                    working.enter_context(place.hold)
                    place.hold.enter_context(place.run.held())
            todo = [index for index in range(len(places)) if index not in outcomes]
            jobs = dict(zip(todo, prepare(todo, report), strict=True)) if todo else {}
            for index, job in jobs.items():
                _check(places[index].run, job)
                note_changes(places[index].run, places[index].settings, report)
            groups = _groups(jobs)
            progress = {index: shown for group in groups for index, shown in zip(group, _progress(places, group, console), strict=True)}
            watchers = {index: _watchers(places[index].run, places[index].settings, progress[index], report) for index in todo}
        for index, job in jobs.items():
            places[index].run.note(**_identity(job))
        _introduce(jobs, places, report)
        for group in groups:
            outcomes |= _train_together({index: jobs[index] for index in group}, places, watchers, report)
    return [outcomes[index] for index in range(len(places))]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one run lies, and what holds its folder while it works."""

    run: RunFolder
    settings: StageSettings
    hold: ExitStack

    @classmethod
    def open(cls, kind: str, settings: StageSettings, preparing: ExitStack) -> _Place:
        """The folder, which goes again when the preparation fails."""
        run, fresh = open_folder(kind, settings)
        preparing.enter_context(removed_on_failure(run, fresh))
        return cls(run, settings, ExitStack())


def _check(run: RunFolder, job: Job) -> None:
    """Refuse what cannot be trained, before anything slow."""
    run.require_space(12 * sum(tensor.nbytes for tensor in job.network.state_dict().values()))
    _require_same_materials(run, job)
    check_pairing(job.network.spec.class_names, job.data.class_names, teacher="network", student="data")
    resolve_device(job.recipe.device)  # refuses a device that is not there


def _groups(jobs: Mapping[int, Job]) -> list[list[int]]:
    """The numbers of the jobs that see the same batches and ask the same teacher."""
    groups: list[list[int]] = []
    for index, job in jobs.items():
        for group in groups:
            if jobs[group[0]].teacher is job.teacher and same_batches(jobs[group[0]].recipe, job.recipe):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def _introduce(jobs: Mapping[int, Job], places: Sequence[_Place], report: Report) -> None:
    """What is about to be trained: the data, and the objectives with the students that have them."""
    for data in {job.data.describe(): None for job in jobs.values()}:
        report(data)
    of: dict[str, list[str]] = {}
    for index, job in jobs.items():
        of.setdefault(job.objective.formula(), []).append(places[index].run.path.name)
    for formula, names in of.items():
        report(f"objective: {formula}" if len(jobs) == 1 else f"objective of {', '.join(names)}: {formula}")


def _train_together(jobs: Mapping[int, Job], places: Sequence[_Place], watchers: Mapping[int, list[Watcher]], report: Report) -> dict[int, Outcome]:
    """Train a group and keep what came of it; each run is finished, or failed, by itself. A signal waits until what is trained is kept."""
    # Fabric takes seconds to import, and most mistakes are found without it.
    from darkknowledge.training.loop import fit_together
    from darkknowledge.training.student import Student

    students = [
        Student(job.network, job.objective, job.recipe, places[index].run.path.name, watchers[index], places[index].run.path / "checkpoint", report)
        for index, job in jobs.items()
    ]
    shared = next(iter(jobs.values()))
    outcomes: dict[int, Outcome] = {}
    with stop_request():
        results = fit_together(students, shared.data.train, validation=shared.data.validation, teacher=shared.teacher)
        for (index, job), fitted in zip(jobs.items(), results, strict=True):
            run, hold = places[index].run, places[index].hold
            if isinstance(fitted, DivergedError):
                error = _explain(run, fitted)
                hold.__exit__(DivergedError, error, fitted.__traceback__)
                outcomes[index] = error
                continue
            if len(jobs) > 1:
                run.note(together=len(jobs))
            _keep(run, job, fitted)
            hold.close()
            # Only a finished run needs its training state no longer.
            shutil.rmtree(run.path / "checkpoint", ignore_errors=True)
            outcomes[index] = Trained(run.path, job.network, fitted.last, fitted.best)
    return outcomes


def _explain(run: RunFolder, error: DivergedError) -> DivergedError:
    """Keep what is known of the end of a run that diverged in its folder, and name that."""
    path = run.path / "diverged.json"
    write_text(path, json.dumps(error.found) + "\n")
    return DivergedError(error.what, where=f"{path} names the examples of the last batches", why=error.why, fix=error.fix)


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


def _progress(places: Sequence[_Place], group: Sequence[int], console: Console) -> list[Watcher | None]:
    """What shows how far a group is, for each of its runs."""
    if not places[group[0]].settings.logging.progress:
        return [None] * len(group)
    return [make_progress(console)] if len(group) == 1 else [*make_shared_progress(console, len(group))]


def _watchers(run: RunFolder, settings: StageSettings, progress: Watcher | None, report: Report) -> list[Watcher]:
    logging: LoggingSettings = settings.logging
    watchers: list[Watcher] = [MetricFiles(run.path)]
    if progress is not None:
        watchers.append(progress)
    if logging.wandb:
        from darkknowledge.training.wandb_logger import WandbLogger

        logger = WandbLogger(run.path, project=logging.project, config=run.config, report=report)
        watchers.append(Dispensable(logger, "Weights & Biases", report))
    if logging.tensorboard:
        from darkknowledge.training.tensorboard_logger import TensorboardLogger

        watchers.append(Dispensable(TensorboardLogger(run.path), "TensorBoard", report))
    return watchers


def _keep(run: RunFolder, job: Job, fitted: Fitted) -> None:
    """Save the weights of the last epoch and of the best one."""
    pictures = job.data.validation.transform
    model_room.save(job.network, run.path / "model", pictures=pictures)
    if fitted.best_weights is not None:
        best = deepcopy(job.network)
        best.load_state_dict(dict(fitted.best_weights))
        model_room.save(best, run.path / "best", pictures=pictures)
    (run.path / "diverged.json").unlink(missing_ok=True)
    run.vouch("metrics.jsonl", "metrics.csv")
    run.note(
        steps=fitted.steps,
        seconds=round(fitted.seconds, 3),
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
    try:
        scores = run.record["validation"]
        last, best = (Score(**scores[key]) if scores[key] else None for key in ("last", "best"))
    except (KeyError, TypeError) as error:
        what = "run.json does not say what came of the run"
        raise IntegrityError(what, where=str(run.path / "run.json"), fix="do not use this folder") from error
    return Trained(run.path, network, last, best)
