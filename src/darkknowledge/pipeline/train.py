"""``train``: a network and labels. What a teacher is made with, and a student alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkknowledge.contract import Report
from darkknowledge.data import Dataset
from darkknowledge.model import Network
from darkknowledge.pipeline._materials import as_settings, build_network, build_objective, data_settings, has_labels, load_data
from darkknowledge.pipeline._training import Job, Trained, train_in_folder
from darkknowledge.pipeline.settings import TrainSettings, validate


def train(
    model: str | Mapping[str, Any] | Network = "hinton_mlp",
    data: str | Mapping[str, Any] | Dataset = "digits",
    *,
    objective: str | Mapping[str, Any] = "hard_label",
    training: Mapping[str, Any] | None = None,
    logging: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    resume_changes: Sequence[str] = (),
    plugins: tuple[str, ...] = (),
) -> Trained:
    """Train a network on labels and keep it in a run folder.

    Args:
        model: a name, a name with options (``{"name": "hinton_mlp", "hidden": [800, 800]}``), or a `Network`, which is trained in place.
        data: a name, a name with options, or a `Dataset`.
        objective: usually ``hard_label``; anything that needs no teacher.
        training: values of the `Recipe`.
        logging: ``progress``, ``wandb``, ``project``, ``tensorboard``.
        out: the run folder to make; by default a new one under ``runs/``.
        resume: go on with the run in ``out`` where one was begun.
        resume_changes: settings, such as ``training.epochs``, that may be others than when it was begun.
        plugins: modules whose classes may be imported when a saved network names one.

    Raises:
        DarkKnowledgeError: what the class says; nothing that looks finished is left behind.

    Example::

        teacher = darkknowledge.train("hinton_mlp", "mnist", training={"epochs": 20})
    """
    settings = validate(
        TrainSettings,
        {
            "model": as_settings(model),
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
    return train_from(settings, network=model if isinstance(model, Network) else None, data=data if isinstance(data, Dataset) else None)


def train_from(settings: TrainSettings, *, network: Network | None = None, data: Dataset | None = None, report: Report | None = None) -> Trained:
    """`train` with checked settings; a ready network or data set stands in for the one that the settings name."""

    def prepare(report: Report) -> Job:
        # Once before the data is read, for a mistake in the settings alone, and once with the labels that there are.
        build_objective(settings.objective, has_teacher=False, has_labels=not settings.data.hide_labels)
        found = data or load_data(settings.data)
        objective = build_objective(settings.objective, has_teacher=False, has_labels=has_labels(found))
        model = network or build_network(settings.model, found, seed=settings.training.seed, report=report)
        return Job(model, objective, found, settings.training, None, {})

    return train_in_folder("train", settings, prepare, report)
