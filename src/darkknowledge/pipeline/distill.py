"""``distill``: a student learns from a teacher's soft targets, and from labels where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkknowledge.contract import Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import DivergedError
from darkknowledge.model import Network
from darkknowledge.pipeline._materials import (
    as_settings,
    build_network,
    build_objective,
    data_settings,
    has_labels,
    load_data,
    require_teacher,
    teacher_settings,
)
from darkknowledge.pipeline._teaching import prepare_teaching
from darkknowledge.pipeline._training import Job, Outcome, Trained, train_in_folders
from darkknowledge.pipeline.settings import DistillSettings, validate
from darkknowledge.transfer import TransferSet


def distill(
    teacher: str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]] | Network | Teacher | None = None,
    student: str | Mapping[str, Any] | Network = "hinton_mlp",
    data: str | Mapping[str, Any] | Dataset = "digits",
    *,
    temperature: float | None = None,
    alpha: float | None = None,
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
) -> Trained:
    """Train a student on a teacher's soft targets and keep it in a run folder.

    The teacher is asked about exactly the views that the run will see, once, and its answers are kept as a transfer set beside its run (beside the
    student's if it has none), where every later student of the same data finds them.

    Args:
        teacher: a run folder, several (an ensemble), ``timm:…`` or ``torchvision:…`` with published weights, a network with options
            and a ``checkpoint``, a `Network` (which is copied), or a ready `Teacher`; None where ``transfer`` names a set.
        student: a name, a name with options, or a `Network`, which is trained in place.
        data: a name, a name with options, or a `Dataset`.
        temperature: short for ``objective={"temperature": …}``.
        alpha: short for ``objective={"alpha": …}``, the weight of the soft term; the labels get 1 − alpha.
        objective: a name, or a name with options.
        average: how an ensemble's answers become one: ``probability`` (the paper's) or ``logit``.
        weights: of the ensemble's members; equal by default.
        check: refuse a teacher whose accuracy on validation is near chance.
        transfer: a transfer set that was recorded before, or ``mode`` (``recorded`` or ``live``), ``codec``, ``top_k``, ``temperatures``,
            ``least_mass``. With a set no teacher is needed; if one is named too, the set must be its own.
        training: values of the `Recipe`. ``views`` is 8 here: so many augmented views of each picture, which the epochs share.
        logging: ``progress``, ``wandb``, ``project``, ``tensorboard``.
        out: the run folder to make; by default a new one under ``runs/``.
        resume: go on with the run in ``out`` where one was begun.
        resume_changes: settings, such as ``training.epochs``, that may be others than when it was begun.
        plugins: modules whose classes may be imported when a saved network names one.

    Raises:
        DarkKnowledgeError: what the class says; nothing that looks finished is left behind.

    Example::

        result = darkknowledge.distill(teacher="runs/teacher", student="hinton_mlp", data="mnist", temperature=8)
    """
    answering, described = teacher_settings(teacher, average=average, weights=weights, check=check)
    goal = {"name": objective} if isinstance(objective, str) else dict(objective)
    goal |= {key: value for key, value in (("temperature", temperature), ("alpha", alpha)) if value is not None}
    settings = validate(
        DistillSettings,
        {
            "teacher": described,
            "transfer": transfer_settings(transfer),
            "student": as_settings(student),
            "data": data_settings(data),
            "objective": goal,
            "training": training or {},
            "logging": logging or {},
            "out": out,
            "resume": resume,
            "resume_changes": resume_changes,
            "plugins": plugins,
        },
    )
    return distill_from(
        settings,
        teacher=answering,
        network=student if isinstance(student, Network) else None,
        data=data if isinstance(data, Dataset) else None,
    )


def transfer_settings(transfer: str | Path | TransferSet | Mapping[str, Any] | None) -> Mapping[str, Any]:
    """How a run records where the soft targets come from."""
    if isinstance(transfer, TransferSet):
        return {"source": transfer.path}
    return {"source": transfer} if isinstance(transfer, str | Path) else transfer or {}


def distill_from(
    settings: DistillSettings,
    *,
    teacher: Teacher | None = None,
    network: Network | None = None,
    data: Dataset | None = None,
    report: Report | None = None,
) -> Trained:
    """`distill` with checked settings; ready objects stand in for those that the settings name."""
    (outcome,) = distill_group([settings], teacher=teacher, networks=[network], data=data, report=report)
    if isinstance(outcome, DivergedError):
        raise outcome
    return outcome


def distill_group(
    settings: Sequence[DistillSettings],
    *,
    teacher: Teacher | None = None,
    networks: Sequence[Network | None] | None = None,
    data: Dataset | None = None,
    report: Report | None = None,
) -> list[Outcome]:
    """Distill students whose settings for data, teacher and transfer set are the same: both are loaded once, and the teacher is asked once."""
    shared = settings[0]
    if teacher is None and (shared.teacher.source or shared.transfer.source is None):
        require_teacher(shared.teacher)

    def prepare(indices: Sequence[int], report: Report) -> list[Job]:
        chosen = [settings[index] for index in indices]
        for each in chosen:
            build_objective(each.objective, has_teacher=True, has_labels=not each.data.hide_labels)
        found = data or load_data(shared.data)
        objectives = [build_objective(each.objective, has_teacher=True, has_labels=has_labels(found)) for each in chosen]
        ready = [networks[index] if networks else None for index in indices]
        students = [
            network or build_network(each.student, found, seed=each.training.seed, report=report) for network, each in zip(ready, chosen, strict=True)
        ]
        teachings = prepare_teaching(chosen, teacher, found, objectives, report)
        return [
            Job(student, objective, found, teaching.recipe, teaching.teacher, teaching.facts)
            for student, objective, teaching in zip(students, objectives, teachings, strict=True)
        ]

    return train_in_folders("distill", settings, prepare, report)
