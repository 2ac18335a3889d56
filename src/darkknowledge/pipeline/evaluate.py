"""``evaluate``: finished runs on their test split, the only stage that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkknowledge import model as model_room
from darkknowledge.contract import Average, Examples, Report
from darkknowledge.data import Dataset
from darkknowledge.errors import DarkKnowledgeError, IntegrityError, UsageError
from darkknowledge.model import LIBRARIES
from darkknowledge.pipeline._materials import (
    GIVEN,
    assemble_teacher,
    fingerprints,
    is_folder,
    load_data,
    load_members,
    model_folder,
    split_fingerprint,
)
from darkknowledge.pipeline._measuring import Answers, Evaluation, Subject, answer, evaluate_subject, fidelity_to_recorded
from darkknowledge.pipeline._parts import DataSettings, ModelSettings, TeacherSettings
from darkknowledge.pipeline.settings import EvaluateSettings, validate
from darkknowledge.runs.files import MANIFEST, sha256
from darkknowledge.runs.folder import RunFolder, open_run
from darkknowledge.teacher import Ensemble, Frozen, check_pairing
from darkknowledge.training.memory import freed_memory_kept
from darkknowledge.training.threads import use_threads
from darkknowledge.transfer import TransferSet


def evaluate(
    run: str | Path | Sequence[str | Path],
    *,
    split: str = "test",
    weights: str = "last",
    data: Dataset | None = None,
    root: str | Path | None = None,
    ensemble: str | None = None,
    cost: bool = True,
    threads: int | None = None,
    plugins: tuple[str, ...] = (),
) -> list[Evaluation]:
    """Measure finished runs and keep the numbers and the answers in their folders.

    Args:
        run: a run folder, or several.
        split: ``test``, or ``validation`` while choosing.
        weights: of the ``last`` epoch (the primary number) or of the ``best`` on validation.
        data: the data set, for runs that were given a ready one.
        root: where the data lies now, when it is not where the run found it.
        ensemble: also measure the runs as one ensemble that answers by the mean of its members' ``probability`` (the paper's) or ``logit``; its
            numbers come last, and are in no folder.
        cost: also count parameters and multiply-adds and time the network.
        threads: for torch, and so for the latencies; stated with them.
        plugins: modules whose classes may be imported when a run names one.

    Raises:
        DarkKnowledgeError: what the class says.

    Example::

        (evaluation,) = darkknowledge.evaluate("runs/student")
        evaluation.accuracy.errors
    """
    runs = [run] if isinstance(run, str | Path) else list(run)
    values: dict[str, Any] = {"run": runs, "split": split, "weights": weights, "root": root, "ensemble": ensemble}
    values |= {"cost": cost, "threads": threads, "plugins": plugins}
    return evaluate_from(validate(EvaluateSettings, values), data=data, report=lambda line: None)


@freed_memory_kept()
def evaluate_from(settings: EvaluateSettings, *, data: Dataset | None = None, report: Report) -> list[Evaluation]:
    """`evaluate` with checked settings."""
    use_threads(settings.threads)
    runs = [open_run(path) for path in settings.run]
    found = [_evaluate_run(run, settings, data, report) for run in runs]
    return found if settings.ensemble is None else [*found, _evaluate_ensemble(runs, settings, settings.ensemble, data)]


def _evaluate_ensemble(runs: Sequence[RunFolder], settings: EvaluateSettings, average: Average, data: Dataset | None) -> Evaluation:
    """The runs as one teacher, on the data that all of them know."""
    folders = [model_folder(run.path, weights=settings.weights) for run in runs]
    networks = [model_room.load(folder, plugins=settings.plugins) for folder in folders]
    found = data or load_data(_data_settings(runs[0], settings))
    for run, network in zip(runs, networks, strict=True):
        _require_same_data(run, found)
        check_pairing(network.spec.class_names, found.class_names)
    teacher = Ensemble([Frozen(network, found.class_names) for network in networks], average=average)
    subject = Subject(f"ensemble of {len(runs)}", teacher, networks, [folder / "model.safetensors" for folder in folders])
    examples = found.open_test() if settings.split == "test" else found.validation
    return evaluate_subject(subject, examples, split=settings.split, validation=found.validation, cost=settings.cost)


def _evaluate_run(run: RunFolder, settings: EvaluateSettings, data: Dataset | None, report: Report) -> Evaluation:
    folder = model_folder(run.path, weights=settings.weights)
    network = model_room.load(folder, plugins=settings.plugins)
    found = data or load_data(_data_settings(run, settings))
    _require_same_data(run, found)
    check_pairing(network.spec.class_names, found.class_names)
    examples = found.open_test() if settings.split == "test" else found.validation
    subject = Subject(str(run.path), Frozen(network, found.class_names), [network], [folder / "model.safetensors"])
    reference = _teacher_answers(run, settings, found, examples, report)
    evaluation = evaluate_subject(subject, examples, split=settings.split, validation=found.validation, reference=reference, cost=settings.cost)
    if reference is None and (recorded := _recorded_teacher(run, report)) is not None:
        fidelity = fidelity_to_recorded(subject.teacher, recorded, found.train)
        evaluation = replace(evaluation, fidelity=fidelity, fidelity_on="transfer set")
    evaluation.save(run.path, suffix="" if settings.weights == "last" else "-best")
    return evaluation


def _recorded_teacher(run: RunFolder, report: Report) -> TransferSet | None:
    """The transfer set that a run without a teacher learned from, where it still lies there."""
    noted = run.record.get("transfer")
    if noted is None or run.config["teacher"]["source"]:
        return None
    try:
        found = TransferSet.open(noted["path"])
    except DarkKnowledgeError as error:
        report(f"no agreement with the teacher for {run.path}: {error.what}")
        return None
    if sha256(found.path / MANIFEST) != noted["sha256"]:
        report(f"no agreement with the teacher for {run.path}: {found.path} is no longer the transfer set that it learned from")
        return None
    return found


def _data_settings(run: RunFolder, settings: EvaluateSettings) -> DataSettings:
    here = {"root": settings.root} if settings.root is not None else {}
    # What a file says is no reason to fetch anything.
    found = validate(DataSettings, run.config["data"] | here | {"download": False})
    if found.name == GIVEN:
        raise UsageError(
            f"{run.path} was trained on a data set that was handed over ready-made", fix="pass it again: darkknowledge.evaluate(run, data=…)"
        )
    for spelling in (found.name, found.augment or ""):
        _refuse_code(run, spelling, settings)
    return found


def _refuse_code(run: RunFolder, name: str, settings: EvaluateSettings) -> None:
    """Import nobody's module because a file in a run folder names it.

    Raises:
        UsageError: ``name`` is spelled ``package.module:…``, and the user has not named that module with ``plugins``.
    """
    module, colon, _ = name.partition(":")
    if colon and module not in (*LIBRARIES, *settings.plugins):
        raise UsageError(
            f"the run names {name}, which is not imported on the word of a file",
            where=str(run.path / "config.yaml"),
            why="importing a module runs its code",
            fix=f"if it is yours, allow it with plugins=[{module}]",
        )


def _require_same_data(run: RunFolder, data: Dataset) -> None:
    """Refuse data that are no longer what the run was trained on."""
    trained_on, split = run.record["data_fingerprint"], run.record["split_fingerprint"]
    if data.fingerprint == trained_on and split_fingerprint(data) != split:
        raise IntegrityError(
            f"the data is divided another way than {run.path} was trained on",
            why="some of its validation pictures would be ones that the network has learned",
            fix="pass the data set with the same split",
        )
    if data.fingerprint != trained_on:
        raise IntegrityError(
            f"the data is not what {run.path} was trained on",
            where=data.describe(),
            why=f"its fingerprint is {data.fingerprint[:12]}…, the run has {trained_on[:12]}…",
            fix="point root=… at the data of the run",
        )


def _teacher_answers(run: RunFolder, settings: EvaluateSettings, data: Dataset, examples: Examples, report: Report) -> Answers | None:
    """What the run's teacher says to the same examples, where it still can be asked."""
    values = run.config.get("teacher")
    if values is None or not values["source"]:
        return None
    teacher = validate(TeacherSettings, values)
    for source in teacher.source:
        if not is_folder(source):
            _refuse_code(run, source.name if isinstance(source, ModelSettings) else source, settings)
            if isinstance(source, str) or (source.options().get("pretrained") and source.checkpoint is None):
                report(f"no agreement with the teacher for {run.path}: its published weights are not fetched on the word of a file")
                return None
    try:
        members = load_members(teacher, data, plugins=settings.plugins)
    except DarkKnowledgeError as error:
        report(f"no agreement with the teacher for {run.path}: {error.what}")
        return None
    if fingerprints(members) != run.record["teacher_fingerprints"]:
        report(f"no agreement with the teacher for {run.path}: the teacher is no longer the one that it learned from")
        return None
    return answer(assemble_teacher(members, teacher), examples)
