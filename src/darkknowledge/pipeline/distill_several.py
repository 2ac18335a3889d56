"""``distill`` for several students: one pass over the data and the teacher's answers trains them all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkknowledge.contract import Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import DivergedError, UsageError
from darkknowledge.model import Network
from darkknowledge.pipeline._folders import note_changes, open_folder
from darkknowledge.pipeline._materials import as_settings, data_settings, teacher_settings
from darkknowledge.pipeline._training import Outcome, Trained
from darkknowledge.pipeline.distill import distill_group, transfer_settings
from darkknowledge.pipeline.settings import DistillSettings, students_of, validate
from darkknowledge.training.signals import stoppable
from darkknowledge.transfer import TransferSet


def distill_several(
    students: Sequence[Mapping[str, Any]],
    teacher: str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]] | Network | Teacher | None = None,
    student: str | Mapping[str, Any] = "hinton_mlp",
    data: str | Mapping[str, Any] | Dataset = "digits",
    *,
    objective: str | Mapping[str, Any] = "distillation",
    average: str = "probability",
    weights: Sequence[float] | None = None,
    check: bool = True,
    transfer: str | Path | TransferSet | Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    logging: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    resume_changes: Sequence[str] = (),
    plugins: tuple[str, ...] = (),
) -> list[Trained]:
    """Distill several students of one teacher, each into a run folder of its own, as `distill` would make them one by one.

    The data is loaded once and the teacher asked once for all of them. Those that see the same batches, which means that seed, batch size, epochs and
    views are the same, advance in lockstep, so that each batch is read, augmented and answered once.

    Args:
        students: what each has in the place of the arguments below: ``student``, ``objective``, ``training`` (mappings, of which the keys that are
            given count), ``temperature``, ``alpha`` and ``seed`` for short, and the ``name`` of its folder in ``out`` (its number unless given).
            A ``student`` may be a `Network`, which is trained in place.
        out: the folder to make for the run folders; by default a new one under ``runs/``.

    The other arguments are those of `distill`.

    Raises:
        DivergedError: the loss of a student is no longer finite; the others are trained to the end and kept all the same.
        DarkKnowledgeError: what the class says; nothing that looks finished is left behind.

    Example::

        results = darkknowledge.distill_several([{"temperature": 2}, {"temperature": 8}], teacher="runs/teacher", data="mnist")
    """
    given: object = students
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(isinstance(each, Mapping) for each in given):
        raise UsageError(f"students={students!r} is no list of mappings", fix='write for example students=[{"temperature": 2}, {"temperature": 8}]')
    answering, described = teacher_settings(teacher, average=average, weights=weights, check=check)
    ready = [each.get("student") for each in students]
    settings = validate(
        DistillSettings,
        {
            "students": [_described(each) for each in students],
            "teacher": described,
            "transfer": transfer_settings(transfer),
            "student": student,
            "data": data_settings(data),
            "objective": objective,
            "training": training or {},
            "logging": logging or {},
            "out": out,
            "resume": resume,
            "resume_changes": resume_changes,
            "plugins": plugins,
        },
    )
    outcomes = distill_several_from(
        settings,
        teacher=answering,
        networks=[network if isinstance(network, Network) else None for network in ready],
        data=data if isinstance(data, Dataset) else None,
    )
    return all_trained(outcomes)


def _described(student: Mapping[str, Any]) -> Mapping[str, Any]:
    """What one has of its own, as its run records it."""
    return {**student, "student": as_settings(student["student"])} if "student" in student else student


@stoppable()
def distill_several_from(
    settings: DistillSettings,
    *,
    teacher: Teacher | None = None,
    networks: Sequence[Network | None] | None = None,
    data: Dataset | None = None,
    report: Report | None = None,
) -> list[Outcome]:
    """`distill_several` with checked settings; what became of each student."""
    folder, fresh = open_folder("students", settings)
    parts = {name: each.model_copy(update={"out": folder.path / name}) for name, each in students_of(settings).items()}
    try:
        with folder.held():
            note_changes(folder, settings, lambda line: None)  # each student's own run says it
            outcomes = distill_group(list(parts.values()), teacher=teacher, networks=networks, data=data, report=report)
            all_trained(outcomes)
    except DivergedError:
        return outcomes
    except BaseException:
        if fresh and not any(path.is_dir() for path in folder.path.iterdir()):
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return outcomes


def distill_grid(settings: Sequence[DistillSettings], *, report: Report | None = None) -> list[Outcome]:
    """Distill every job of a grid, those together that have data, teacher and transfer set in common."""
    outcomes: dict[int, Outcome] = {}
    groups: dict[str, list[int]] = {}
    for index, each in enumerate(settings):
        groups.setdefault(each.model_dump_json(include={"data", "teacher", "transfer", "plugins"}), []).append(index)
    for indices in groups.values():
        outcomes |= zip(indices, distill_group([settings[index] for index in indices], report=report), strict=True)
    return [outcomes[index] for index in range(len(settings))]


def all_trained(outcomes: Sequence[Outcome]) -> list[Trained]:
    """The finished runs.

    Raises:
        DivergedError: some are not.
    """
    trained = [outcome for outcome in outcomes if isinstance(outcome, Trained)]
    diverged = [outcome for outcome in outcomes if isinstance(outcome, DivergedError)]
    if diverged:
        first = diverged[0]
        what = f"{len(diverged)} of {len(outcomes)} students diverged, the others are kept: {first.what}"
        raise DivergedError(what, where=", ".join(each.where for each in diverged), why=first.why, fix=first.fix)
    return trained
