"""``evaluate``: finished runs on their test split, the only stage that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from darkknowledge import model as model_room
from darkknowledge.analysis import measure_cost
from darkknowledge.contract import Average, Examples, Report
from darkknowledge.data import Dataset
from darkknowledge.errors import DarkKnowledgeError, DataError, UsageError
from darkknowledge.pipeline._materials import (
    assemble_teacher,
    fingerprints,
    is_folder,
    load_members,
    model_folder,
)
from darkknowledge.pipeline._measuring import Evaluation, Subject, answer, evaluate_subject, fidelity_to_recorded
from darkknowledge.pipeline._parts import ModelSettings, TeacherSettings
from darkknowledge.pipeline._pictures import save_for_page
from darkknowledge.pipeline._reopening import data_of, read_part, refuse_code, require_same_data
from darkknowledge.pipeline._timing import with_onnx
from darkknowledge.pipeline.settings import EvaluateSettings, validate
from darkknowledge.runs.files import MANIFEST, sha256
from darkknowledge.runs.folder import RunFolder, open_run
from darkknowledge.teacher import Ensemble, Frozen, check_pairing
from darkknowledge.training.memory import freed_memory_kept, shortage_told
from darkknowledge.training.signals import stoppable
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
    batch_size: int = 1024,
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
        cost: also count parameters and multiply-adds and time the network in PyTorch and in ONNX Runtime, its teacher beside it.
        batch_size: pictures that a network is asked about at a time.
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
    values |= {"cost": cost, "batch_size": batch_size, "threads": threads, "plugins": plugins}
    return evaluate_from(validate(EvaluateSettings, values), data=data, report=lambda line: None)


@stoppable()
@freed_memory_kept()
def evaluate_from(settings: EvaluateSettings, *, data: Dataset | None = None, report: Report) -> list[Evaluation]:
    """`evaluate` with checked settings."""
    use_threads(settings.threads)
    runs = [open_run(path) for path in settings.run]
    # Before the first run is measured, which takes a while.
    together = None if settings.ensemble is None else _Ensemble.of(runs, settings, settings.ensemble, data)
    with shortage_told("cpu", lambda: _too_large(settings)):
        found = [_evaluate_run(run, settings, data, report) for run in runs]
        return found if together is None else [*found, together.evaluate(settings, report)]


def _too_large(settings: EvaluateSettings) -> tuple[str, str]:
    """What there is not enough memory for, and what may help."""
    size = settings.batch_size
    return f"ask networks about {size} pictures at a time", f"batch_size={max(size // 4, 1)}{', and cost=false' if settings.cost else ''}"


@dataclass(frozen=True, slots=True)
class _Ensemble:
    """Runs as one teacher, on the data that all of them know; ``validation`` are the examples that none of them has learned."""

    subject: Subject
    data: Dataset
    validation: Examples | None

    @classmethod
    def of(cls, runs: Sequence[RunFolder], settings: EvaluateSettings, average: Average, data: Dataset | None) -> _Ensemble:
        """Put it together.

        Raises:
            UsageError: a run is named twice.
            IntegrityError: the runs were trained on other data, or on other parts of it and are measured on validation.
        """
        for number, run in enumerate(runs):
            if run.path.resolve() in [other.path.resolve() for other in runs[:number]]:
                raise UsageError(f"{run.path} is named twice", why="a member that is there twice has twice the weight", fix="name each run once")
        folders = [model_folder(run.path, weights=settings.weights) for run in runs]
        networks = [model_room.load(folder, plugins=settings.plugins) for folder in folders]
        found = data or data_of(runs[0], settings)
        same_split = len({run.record["split_fingerprint"] for run in runs}) == 1
        for run, network in zip(runs, networks, strict=True):
            require_same_data(run, found, same_split=same_split or settings.split == "validation")
            check_pairing(network.spec.class_names, found.class_names)
        teacher = Ensemble([Frozen(network, found.class_names) for network in networks], average=average)
        subject = Subject(f"ensemble of {len(runs)}", teacher, networks, [folder / "model.safetensors" for folder in folders])
        return cls(subject, found, found.validation if same_split else None)

    def evaluate(self, settings: EvaluateSettings, report: Report) -> Evaluation:
        """Measure it."""
        examples, size = _examples(self.data, settings), settings.batch_size
        found = evaluate_subject(self.subject, examples, split=settings.split, validation=self.validation, cost=settings.cost, batch_size=size)
        return _timed(found, self.subject, None, examples, report)


def _examples(data: Dataset, settings: EvaluateSettings) -> Examples:
    """The split to measure on.

    Raises:
        DataError: it holds nothing.
    """
    examples = data.open_test() if settings.split == "test" else data.validation
    if not len(examples):
        raise DataError(
            f"the {settings.split} split is empty", where=data.describe(), fix="evaluate on the other split: split=test or split=validation"
        )
    return examples


def _evaluate_run(run: RunFolder, settings: EvaluateSettings, data: Dataset | None, report: Report) -> Evaluation:
    folder = model_folder(run.path, weights=settings.weights)
    network = model_room.load(folder, plugins=settings.plugins)
    found = data or data_of(run, settings)
    require_same_data(run, found)
    check_pairing(network.spec.class_names, found.class_names)
    examples = _examples(found, settings)
    subject = Subject(str(run.path), Frozen(network, found.class_names), [network], [folder / "model.safetensors"])
    teacher = _teacher_subject(run, settings, found, report)
    reference = None if teacher is None else answer(teacher.teacher, examples, batch_size=settings.batch_size)
    evaluation = evaluate_subject(
        subject,
        examples,
        split=settings.split,
        validation=found.validation,
        reference=reference,
        cost=settings.cost,
        batch_size=settings.batch_size,
    )
    evaluation = _timed(evaluation, subject, teacher, examples, report)
    if reference is None and (recorded := _recorded_teacher(run, report)) is not None:
        fidelity = fidelity_to_recorded(subject.teacher, recorded, found.train, batch_size=settings.batch_size)
        evaluation = replace(evaluation, fidelity=fidelity, fidelity_on="transfer set")
    shown = settings.split == "test" and settings.weights == "last"
    page = partial(save_for_page, run.path, examples, student=evaluation.answers, teacher=reference) if shown else dict
    evaluation.save(run.path, suffix="" if settings.weights == "last" else "-best", write_beside=page)
    return evaluation


def _recorded_teacher(run: RunFolder, report: Report) -> TransferSet | None:
    """The transfer set that a run without a teacher learned from, where it still lies there."""
    noted = run.transfer_set
    if noted is None or _teacher_of(run).source:
        return None
    path, digest = noted
    try:
        found = TransferSet.open(path)
        found.require_whole()
    except DarkKnowledgeError as error:
        report(f"no agreement with the teacher for {run.path}: {error.what}")
        return None
    if sha256(found.path / MANIFEST) != digest:
        report(f"no agreement with the teacher for {run.path}: {found.path} is no longer the transfer set that it learned from")
        return None
    return found


def _teacher_of(run: RunFolder) -> TeacherSettings:
    """Who taught a run, by its configuration; nobody where that is silent."""
    return read_part(run, TeacherSettings, "teacher", run.config.get("teacher") or {})


def _timed(evaluation: Evaluation, subject: Subject, teacher: Subject | None, examples: Examples, report: Report) -> Evaluation:
    """With the latencies in ONNX Runtime too, and with what the teacher costs, where costs are asked for."""
    if evaluation.cost is None:
        return evaluation
    example = next(iter(examples.batches(torch.arange(1), batch_size=1, views=None))).inputs
    cost = with_onnx(evaluation.cost, subject.networks, example, report)
    if teacher is None:
        return replace(evaluation, cost=cost)
    beside = with_onnx(measure_cost(teacher.networks, example, files=teacher.files), teacher.networks, example, report)
    return replace(evaluation, cost=cost, teacher_cost=beside)


def _teacher_subject(run: RunFolder, settings: EvaluateSettings, data: Dataset, report: Report) -> Subject | None:
    """The run's teacher, where it still can be asked."""
    teacher = _teacher_of(run)
    if not teacher.source:
        return None
    for source in teacher.source:
        if not is_folder(source):
            refuse_code(run, source.name if isinstance(source, ModelSettings) else source, settings)
            if isinstance(source, str) or source.checkpoint is None or source.head == "replace":
                report(f"no agreement with the teacher for {run.path}: not all of its weights lie in a file, and none are fetched on the word of one")
                return None
    try:
        members = load_members(teacher, data, plugins=settings.plugins)
    except DarkKnowledgeError as error:
        report(f"no agreement with the teacher for {run.path}: {error.what}")
        return None
    if fingerprints(members) != run.record.get("teacher_fingerprints"):
        report(f"no agreement with the teacher for {run.path}: the teacher is no longer the one that it learned from")
        return None
    # Published weights and checkpoints of others have no file of ours; then the size of the teacher is not known.
    folders = [model_folder(source) for source in teacher.source if is_folder(source)]
    files = [folder / "model.safetensors" for folder in folders] if len(folders) == len(members) else []
    return Subject("teacher", assemble_teacher(members, teacher), [member.network for member in members], files)
