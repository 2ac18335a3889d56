"""``distill``: a student learns from a teacher's soft targets, and from labels where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn

from darkknowledge.contract import Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import UsageError
from darkknowledge.model import Network
from darkknowledge.pipeline._materials import (
    as_settings,
    assemble_teacher,
    build_network,
    build_objective,
    data_settings,
    examine_teacher,
    fingerprints,
    has_labels,
    load_data,
    load_members,
    require_teacher,
    soft_temperature,
)
from darkknowledge.pipeline._training import Job, Trained, train_in_folder
from darkknowledge.pipeline.settings import DistillSettings, validate
from darkknowledge.teacher import Frozen


def distill(
    teacher: str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]] | Network | Teacher,
    student: str | Mapping[str, Any] | Network = "hinton_mlp",
    data: str | Mapping[str, Any] | Dataset = "digits",
    *,
    temperature: float | None = None,
    alpha: float | None = None,
    objective: str | Mapping[str, Any] = "distillation",
    average: str = "probability",
    weights: Sequence[float] | None = None,
    check: bool = True,
    training: Mapping[str, Any] | None = None,
    logging: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    plugins: tuple[str, ...] = (),
) -> Trained:
    """Train a student on a teacher's soft targets and keep it in a run folder.

    Args:
        teacher: a run folder, several (an ensemble), ``timm:…`` or ``torchvision:…`` with published weights, a network with options
            and a ``checkpoint``, a `Network` (which is copied), or a ready `Teacher`.
        student: a name, a name with options, or a `Network`, which is trained in place.
        data: a name, a name with options, or a `Dataset`.
        temperature: short for ``objective={"temperature": …}``.
        alpha: short for ``objective={"alpha": …}``, the weight of the soft term; the labels get 1 − alpha.
        objective: a name, or a name with options.
        average: how an ensemble's answers become one: ``probability`` (the paper's) or ``logit``.
        weights: of the ensemble's members; equal by default.
        check: refuse a teacher whose accuracy on validation is near chance.
        training: values of the `Recipe`.
        logging: ``progress``, ``wandb``, ``project``, ``tensorboard``.
        out: the run folder to make; by default a new one under ``runs/``.
        resume: go on with an interrupted run in ``out``.
        plugins: modules whose classes may be imported when a saved network names one.

    Raises:
        DarkKnowledgeError: what the class says; nothing that looks finished is left behind.

    Example::

        result = darkknowledge.distill(teacher="runs/teacher", student="hinton_mlp", data="mnist", temperature=8)
    """
    if isinstance(teacher, Network):
        teacher = Frozen(deepcopy(teacher), teacher.spec.class_names)
    elif isinstance(teacher, nn.Module):
        raise UsageError("the teacher is a bare module", why="nobody knows its classes", fix="wrap it: darkknowledge.Frozen(module, class_names)")
    ready = not isinstance(teacher, str | Path | Sequence | Mapping)
    goal = {"name": objective} if isinstance(objective, str) else dict(objective)
    goal |= {key: value for key, value in (("temperature", temperature), ("alpha", alpha)) if value is not None}
    sources = [] if ready else [teacher] if isinstance(teacher, str | Path | Mapping) else list(teacher)  # type: ignore[arg-type]
    settings = validate(
        DistillSettings,
        {
            "teacher": {
                "source": [source if isinstance(source, Mapping) else str(source) for source in sources],
                "average": average,
                "weights": weights,
                "check": check,
            },
            "student": as_settings(student),
            "data": data_settings(data),
            "objective": goal,
            "training": training or {},
            "logging": logging or {},
            "out": out,
            "resume": resume,
            "plugins": plugins,
        },
    )
    return distill_from(
        settings,
        teacher=teacher if ready else None,  # type: ignore[arg-type]
        network=student if isinstance(student, Network) else None,
        data=data if isinstance(data, Dataset) else None,
    )


def distill_from(
    settings: DistillSettings,
    *,
    teacher: Teacher | None = None,
    network: Network | None = None,
    data: Dataset | None = None,
    report: Report | None = None,
) -> Trained:
    """`distill` with checked settings; ready objects stand in for those that the settings name."""
    if teacher is None:
        require_teacher(settings.teacher)

    def prepare(report: Report) -> Job:
        build_objective(settings.objective, has_teacher=True, has_labels=not settings.data.hide_labels)
        found = data or load_data(settings.data)
        objective = build_objective(settings.objective, has_teacher=True, has_labels=has_labels(found))
        answering, facts = teacher, dict[str, Any]()
        if answering is None:
            members = load_members(settings.teacher, found, plugins=settings.plugins, report=report)
            answering = assemble_teacher(members, settings.teacher)
            facts["teacher_fingerprints"] = fingerprints(members)
        facts["teacher"] = examine_teacher(answering, found, temperature=soft_temperature(objective), check=settings.teacher.check, report=report)
        student = network or build_network(settings.student, found, seed=settings.training.seed, report=report)
        return Job(student, objective, found, settings.training, answering, facts)

    return train_in_folder("distill", settings, prepare, report)
