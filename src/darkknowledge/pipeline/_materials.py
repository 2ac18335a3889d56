"""From settings, or from ready objects, to what a stage works on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from darkknowledge import data as data_room, model as model_room, objective as objective_room
from darkknowledge.contract import IGNORED, Examples, Objective, Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import UsageError
from darkknowledge.model import Network, Preprocessing
from darkknowledge.objective import Mixture
from darkknowledge.pipeline._parts import DataSettings, ModelSettings, ObjectiveSettings, TeacherSettings
from darkknowledge.runs.folder import RunFolder, list_runs, open_run
from darkknowledge.teacher import Ensemble, Frozen, check_pairing, examine, verdict
from darkknowledge.transfer import RecordedTeacher


def load_data(settings: DataSettings) -> Dataset:
    """The data set of the settings."""
    return data_room.load(settings.name, **settings.options())


GIVEN = "given"
"""How a run names a data set that it was handed ready-made, and that its settings cannot bring back."""


def data_settings(data: str | Mapping[str, Any] | Dataset) -> str | Mapping[str, Any]:
    """How a run records its data."""
    return GIVEN if isinstance(data, Dataset) else data


def has_labels(data: Dataset) -> bool:
    """Whether any training example has its label."""
    return bool((data.train.labels != IGNORED).any())


def split_fingerprint(data: Dataset) -> str:
    """SHA-256 over the ids of the training and of the validation examples: which part of the data a run learned from."""
    parts = (data.train.ids, data.validation.ids)
    return hashlib.sha256(b"|".join(ids.numpy().tobytes() for ids in parts)).hexdigest()


def positions_of(examples: Examples, ids: Tensor) -> Tensor:
    """Where in ``examples`` those with these ids (N,) stand, all of which are there."""
    by_id = examples.ids.argsort()
    return by_id[torch.searchsorted(examples.ids[by_id], ids)]


def as_settings(model: str | Mapping[str, Any] | Network) -> str | Mapping[str, Any]:
    """How a run records a network that it was handed: what it was built from."""
    return {"name": model.spec.name, **model.spec.options} if isinstance(model, Network) else model


def build_objective(settings: ObjectiveSettings, *, has_teacher: bool, has_labels: bool) -> Objective:
    """The objective of the settings.

    Raises:
        UsageError: it needs a teacher or labels that are not there, or has no use for the teacher that is.
    """
    objective = objective_room.build(settings.name, **settings.options())
    if "teacher" in objective.needs and not has_teacher:
        raise UsageError(
            f"objective={settings.name} needs a teacher, and there is none", where=objective.formula(), fix="use distill, or objective=hard_label"
        )
    if "labels" in objective.needs and not has_labels:
        raise UsageError(
            f"objective={settings.name} needs labels, and no training example shows any",
            where=objective.formula(),
            fix="choose an objective without labels, such as hinton, or objective.alpha=1",
        )
    if has_teacher and "teacher" not in objective.needs:
        raise UsageError(
            f"objective={settings.name} has no use for a teacher", where=objective.formula(), fix="choose another objective, or use train"
        )
    return objective


def soft_temperature(objective: Objective) -> float:
    """The temperature of an objective's first soft term, where its soft targets are looked at; 1 where it has no finite one."""
    terms = (entry.term for entry in objective.terms.values()) if isinstance(objective, Mixture) else ()
    return next((term.temperature for term in terms if "teacher" in term.needs and math.isfinite(term.temperature)), 1.0)


def build_network(settings: ModelSettings, data: Dataset, *, seed: int, report: Report) -> Network:
    """A network for the data's classes, its weights drawn from ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = model_room.build(
            settings.name,
            num_classes=len(data.class_names),
            input_shape=data.input_shape,
            mean=data.mean,
            std=data.std,
            class_names=data.class_names,
            checkpoint=settings.checkpoint,
            head=settings.head,
            preprocessing=Preprocessing.from_dict(settings.preprocessing.model_dump()) if settings.preprocessing else None,
            report=report,
            **settings.options(),
        )
    if settings.checkpoint is not None and settings.preprocessing is None:
        expected = network.preprocessing
        report(
            f"{settings.checkpoint}: inputs are normalised by mean {_rounded(expected.mean)} and std {_rounded(expected.std)}; if the weights expect "
            f"something else, say so with preprocessing={{mean: […], std: […], size: […]}}"
        )
    return network


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


@dataclass(frozen=True, slots=True)
class Member:
    """One network of a teacher: what it is called in messages, and itself."""

    name: str
    network: Network
    class_names: tuple[str, ...]


def teacher_settings(
    teacher: str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]] | Network | Teacher | None,
    **options: Any,
) -> tuple[Teacher | None, dict[str, Any]]:
    """A ready teacher if one was handed over, and what the settings say of it.

    Raises:
        UsageError: it is a module of which nobody knows the classes.
    """
    if isinstance(teacher, Network):
        return Frozen(deepcopy(teacher), teacher.spec.class_names), options
    if isinstance(teacher, RecordedTeacher):
        raise UsageError(
            "the teacher is a transfer set", why="it has answers to its own pictures alone", fix="name the set: transfer=PATH, no teacher"
        )
    if isinstance(teacher, nn.Module):
        raise UsageError("the teacher is a bare module", why="nobody knows its classes", fix="wrap it: darkknowledge.Frozen(module, class_names)")
    if not isinstance(teacher, str | Path | Sequence | Mapping):
        return teacher, options
    sources = [teacher] if isinstance(teacher, str | Path | Mapping) else list(teacher)
    return None, options | {"source": [source if isinstance(source, Mapping) else str(source) for source in sources]}


def require_teacher(settings: TeacherSettings) -> None:
    """Refuse settings that name no teacher, and run folders that are none or not finished, before anything slow.

    Raises:
        UsageError: there is no teacher, or no finished run of one network where it should be.
    """
    if not settings.source:
        fix = "give teacher=runs/… (one run), teacher=[runs/a,runs/b] (an ensemble), or dk distill a recorded set: transfer=…"
        raise UsageError("no teacher is named", fix=fix)
    for source in settings.source:
        if is_folder(source):
            model_folder(source)


def model_folder(path: str | Path, *, weights: str = "last") -> Path:
    """Where a run keeps the weights of its ``last`` or ``best`` epoch; a folder with a saved model is one itself.

    Raises:
        UsageError: it is no finished run of one network, or it kept no best weights.
    """
    folder = Path(path)
    if folder.is_file():
        saved = (folder.parent / "config.json").is_file()
        fix = f"name the folder that it lies in: {folder.parent}" if saved else f"a network from a file is written [{{name: …, checkpoint: {path}}}]"
        raise UsageError(f"{path} is a file and no run folder", fix=fix)
    if (folder / "config.json").is_file():
        return folder
    require_one_network(open_run(folder))
    if weights == "best" and not (folder / "best").is_dir():
        raise UsageError(f"the run {folder} kept no best weights", why="it had no validation split to choose them by", fix="use weights=last")
    return folder / ("model" if weights == "last" else "best")


def require_one_network(run: RunFolder) -> None:
    """Refuse a run of several networks.

    Raises:
        UsageError: it is one.
    """
    if run.several:
        networks = ", ".join(str(inner.path) for inner in list_runs(run.path))
        raise UsageError(f"{run.path} holds several networks, and one is asked for", fix=f"choose one of {networks}")


def is_folder(source: str | ModelSettings) -> TypeGuard[str]:
    """A run or a saved model, and not a network by name such as ``timm:resnet18``."""
    return isinstance(source, str) and (":" not in source or Path(source).is_dir())


def load_members(settings: TeacherSettings, data: Dataset, *, plugins: Sequence[str] = (), report: Report = print) -> list[Member]:
    """The networks that the settings name: run folders, folders of a saved model, or networks by name with their own weights."""
    return [_load_member(source, data, plugins, report) for source in settings.source]


def _load_member(source: str | ModelSettings, data: Dataset, plugins: Sequence[str], report: Report) -> Member:
    if not is_folder(source):
        settings = source if isinstance(source, ModelSettings) else ModelSettings(name=source, pretrained=True)
        network = build_network(settings, data, seed=0, report=report)
        return Member(settings.name, network, network.spec.class_names)
    network = model_room.load(model_folder(source), plugins=plugins)
    return Member(source, network, network.spec.class_names)


def fingerprints(members: Sequence[Member]) -> list[str]:
    """SHA-256 of each member, in order: what a run remembers of its teacher."""
    return [model_room.fingerprint(member.network) for member in members]


def assemble_teacher(members: Sequence[Member], settings: TeacherSettings) -> Teacher:
    """One teacher of one network or of several."""
    frozen = [Frozen(member.network, member.class_names) for member in members]
    if len(frozen) == 1 and settings.weights is None:
        return frozen[0]
    return Ensemble(frozen, average=settings.average, weights=settings.weights)


def examine_teacher(teacher: Teacher, data: Dataset, *, temperature: float, check: bool, report: Report) -> dict[str, Any]:
    """Measure the teacher before the first step, print what was found, and refuse one that knows nothing of this data.

    Raises:
        IntegrityError: its classes are not the data's, or its accuracy is near chance.
    """
    check_pairing(teacher.class_names, data.class_names)
    # Pictures that it was trained on may flatter it, and show as well whether it knows these classes and how soft its targets are.
    shown, split = (data.validation, "validation") if len(data.validation) else (data.train, "training")
    found = examine(teacher.to("cpu"), shown, temperature=temperature)
    if found.accuracy is not None:
        report(
            f"teacher: accuracy {found.accuracy:.2%} on {found.labelled:,} {split} examples; its soft targets at temperature {temperature:g} hold "
            f"{found.effective_classes_median:.2f} effective classes (median)"
        )
    for line in verdict(found, allow_near_chance=not check):
        report(f"warning: {line}")
    return asdict(found)
