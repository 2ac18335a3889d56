"""``run``: the whole way. A teacher, and for each seed the same student alone and distilled; then what distillation brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from darkknowledge.analysis import GapRecovered, McNemar, PairedTest, gap_recovered, mcnemar, paired_test
from darkknowledge.contract import Report
from darkknowledge.data import Dataset
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.pipeline._folders import note_changes, open_folder, removed_on_failure
from darkknowledge.pipeline._materials import (
    assemble_teacher,
    build_network,
    build_objective,
    examine_teacher,
    fingerprints,
    is_folder,
    load_data,
    load_members,
    model_folder,
    require_teacher,
    soft_temperature,
)
from darkknowledge.pipeline._measuring import BATCH, Answers, Evaluation, Subject, evaluate_subject
from darkknowledge.pipeline._parts import DataSettings, ModelSettings, ObjectiveSettings, TeacherSettings, TransferSettings
from darkknowledge.pipeline._pictures import save_for_page
from darkknowledge.pipeline._recording import codec_for
from darkknowledge.pipeline._reopening import require_same_data
from darkknowledge.pipeline._reporting import reporter
from darkknowledge.pipeline._teaching import fits_memory, in_blocks, soft_temperatures
from darkknowledge.pipeline._training import Trained
from darkknowledge.pipeline.distill import distill_from
from darkknowledge.pipeline.report import PAGE, make_page
from darkknowledge.pipeline.settings import DistillSettings, RunSettings, TrainSettings, validate
from darkknowledge.pipeline.train import train_from
from darkknowledge.runs.checked_json import write_checked
from darkknowledge.runs.files import Written
from darkknowledge.runs.folder import RunFolder
from darkknowledge.teacher import Frozen
from darkknowledge.training.memory import shortage_told
from darkknowledge.training.passes import Passes
from darkknowledge.training.recipe import Recipe
from darkknowledge.training.signals import stoppable


@dataclass(frozen=True, slots=True)
class Comparison:
    """The teacher, and the students alone and distilled, a pair for each seed with the same initial weights and the same order of examples."""

    path: Path
    data: str
    teacher: Evaluation
    alone: Sequence[Evaluation]
    distilled: Sequence[Evaluation]

    @property
    def page(self) -> Path | None:
        """The page that tells of it; None where none could be made."""
        return self.path / PAGE if (self.path / PAGE).is_file() else None

    def errors(self, arm: str) -> list[int]:
        """Test errors of ``alone`` or ``distilled``, one a seed."""
        return [evaluation.accuracy.errors for evaluation in getattr(self, arm)]

    @property
    def gain(self) -> PairedTest:
        """Errors alone minus errors distilled, over the seeds."""
        return paired_test(self.errors("alone"), self.errors("distilled"))

    @property
    def gap(self) -> GapRecovered:
        """The share of the gap between student alone and teacher that distillation recovered."""
        return gap_recovered(student_alone=self.errors("alone"), distilled=self.errors("distilled"), teacher=[self.teacher.accuracy.errors])

    @property
    def tests(self) -> list[McNemar]:
        """For each seed McNemar's test of the distilled student (first) against the one alone (second)."""
        return [mcnemar(distilled.right, alone.right) for distilled, alone in zip(self.distilled, self.alone, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "data": self.data,
            "teacher": self.teacher.to_dict(),
            "alone": [evaluation.to_dict() for evaluation in self.alone],
            "distilled": [evaluation.to_dict() for evaluation in self.distilled],
            "gain": asdict(self.gain),
            "gap": asdict(self.gap),
            "mcnemar": [asdict(test) for test in self.tests],
        }


def run(
    data: str | Mapping[str, Any] = "digits",
    *,
    student: str | Mapping[str, Any] = "hinton_mlp",
    teacher: Mapping[str, Any] | None = None,
    transfer: Mapping[str, Any] | None = None,
    objective: str | Mapping[str, Any] = "distillation",
    training: Mapping[str, Any] | None = None,
    seeds: int = 5,
    logging: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    plugins: tuple[str, ...] = (),
) -> Comparison:
    """Train or load a teacher, train the student alone and distilled for each seed, and compare them on the test split.

    Args:
        data: a name, or a name with options.
        student: a name, or a name with options; built anew for each seed.
        teacher: ``source`` (runs or named models), or ``model``, ``members``, ``training`` and ``augment`` of one to train.
        transfer: ``mode`` (``recorded``, by default, or ``live``), ``codec``, ``top_k``, ``temperatures``, ``least_mass``; see `distill`.
        objective: of the distilled student; the one alone gets the labels only.
        training: values of the `Recipe` of both students.
        seeds: pairs of students.
        logging: ``progress``, ``wandb``, ``project``, ``tensorboard``.
        out: the folder to make, which holds a run folder for every network.
        resume: go on with an interrupted run in ``out``; what is finished is kept.
        plugins: modules whose classes may be imported when a run names one.

    Raises:
        DarkKnowledgeError: what the class says.
    """
    values = {
        "data": data,
        "student": student,
        "teacher": teacher or {},
        "transfer": transfer or {},
        "objective": objective,
        "training": training or {},
        "seeds": seeds,
        "logging": logging or {},
        "out": out,
        "resume": resume,
        "plugins": plugins,
    }
    return run_from(validate(RunSettings, values))


@stoppable()
def run_from(settings: RunSettings, *, report: Report | None = None) -> Comparison:
    """`run` with checked settings."""
    report = _once(report or reporter())
    folder, fresh = open_folder("run", settings)
    if folder.finished:
        raise UsageError(
            f"{folder.path} is already finished", fix=f"its numbers are in {folder.path / 'comparison.json'}; dk list shows its networks"
        )
    with folder.held():
        note_changes(folder, settings, report)
        with removed_on_failure(folder, fresh):
            data = load_data(settings.data)
            data.require_test()
            _rehearse(settings, data)
            teaching = settings.teacher.plain()
            if teaching.source:
                _check_teacher(settings, teaching, data)
        if not teaching.source:
            teaching = teaching.model_copy(update={"source": tuple(_train_teachers(settings, folder, data, report))})
            _check_teacher(settings, teaching, data)
        settings = _in_one_order(settings, data, teaching)
        pairs = [_train_pair(settings, folder, data, teaching, index, report) for index in range(settings.seeds)]
        report("measuring on the test split")
        with shortage_told("cpu", lambda: _too_large(folder)):
            comparison, kept = _compare(settings, folder, data, teaching, pairs)
        write_checked(folder.path / "comparison.json", comparison.to_dict() | {"files": {name: asdict(file) for name, file in kept.items()}})
    make_page(folder.path, settings.logging, report)
    return comparison


def _rehearse(settings: RunSettings, data: Dataset) -> None:
    """Build once what is needed later, so that a mistake in it is found before anything is trained."""
    labels = not settings.data.hide_labels
    build_objective(ObjectiveSettings(name="hard_label"), has_teacher=False, has_labels=labels)
    build_objective(settings.objective, has_teacher=True, has_labels=labels)
    for model in (settings.student, *([] if settings.teacher.source else [settings.teacher.model])):
        build_network(model, data, seed=0, report=_silent)


def _check_teacher(settings: RunSettings, teaching: TeacherSettings, data: Dataset) -> None:
    """Refuse a teacher that cannot teach before the first student, the one alone, is trained; `distill` says what it found."""
    require_teacher(teaching)
    teacher = assemble_teacher(load_members(teaching, data, plugins=settings.plugins, report=_silent), teaching)
    objective = build_objective(settings.objective, has_teacher=True, has_labels=not settings.data.hide_labels)
    examine_teacher(teacher, data, temperature=soft_temperature(objective), check=teaching.check, report=_silent)


def _in_one_order(settings: RunSettings, data: Dataset, teaching: TeacherSettings) -> RunSettings:
    """Where the answers are too many for memory, the one alone too gets the order that suits the one distilled."""
    objective = build_objective(settings.objective, has_teacher=True, has_labels=not settings.data.hide_labels)
    codec = codec_for(settings.transfer, len(data.class_names), temperatures=soft_temperatures(objective))
    members = 1 if teaching.average == "logit" else len(teaching.source)
    recipe = settings.training if data.varies else settings.training.model_copy(update={"views": 1})
    if settings.transfer.mode == "live" or fits_memory(len(Passes(data.train.ids, recipe).rows()[0]), members * codec.width):
        return settings
    return settings.model_copy(update={"training": in_blocks(settings.training)})


def _train_teachers(settings: RunSettings, folder: RunFolder, data: Dataset, report: Report) -> list[str]:
    """Train the members of the teacher; the run folders."""
    part = settings.data.model_copy(update={"augment": settings.teacher.augment or settings.data.augment})
    seen = data if part == settings.data else load_data(part)
    paths = []
    for index in range(settings.teacher.members):
        recipe = _with_seed(settings.teacher.training, index)
        stage = _train_settings(settings, part, settings.teacher.model, recipe, folder.path / f"teacher-{index}")
        paths.append(str(train_from(stage, data=seen, report=report).path))
    return paths


def _train_pair(
    settings: RunSettings, folder: RunFolder, data: Dataset, teaching: TeacherSettings, index: int, report: Report
) -> tuple[Trained, Trained]:
    """The student of one seed, alone and distilled: equal initial weights, equal order, equal recipe."""
    recipe = _with_seed(settings.training, index)
    stage = _train_settings(settings, settings.data, settings.student, recipe, folder.path / f"alone-{index}")
    alone = train_from(stage, data=data, report=report)
    common = {name: getattr(settings, name) for name in ("data", "student", "objective", "logging", "resume", "plugins")}
    transfer = TransferSettings(**settings.transfer.model_dump())
    with_teacher = DistillSettings(**common, teacher=teaching, transfer=transfer, training=recipe, out=folder.path / f"distilled-{index}")
    distilled = distill_from(with_teacher, data=data, report=report)
    for trained in (alone, distilled):  # nothing else looks at the data again for one that was finished before
        require_same_data(RunFolder(trained.path), data)
    return alone, distilled


def _train_settings(settings: RunSettings, data: DataSettings, model: ModelSettings, recipe: Recipe, out: Path) -> TrainSettings:
    common = {name: getattr(settings, name) for name in ("logging", "resume", "plugins")}
    return TrainSettings(**common, data=data, model=model, objective=ObjectiveSettings(name="hard_label"), training=recipe, out=out)


def _compare(
    settings: RunSettings, folder: RunFolder, data: Dataset, teaching: TeacherSettings, pairs: Sequence[tuple[Trained, Trained]]
) -> tuple[Comparison, dict[str, Written]]:
    """Measure the teacher and every student on the test split; the costs, which all seeds share, are those of the first pair.

    Also what was written for the page, by name.
    """
    examples = data.open_test()
    members = load_members(teaching, data, plugins=settings.plugins)
    for _, trained in pairs:
        if RunFolder(trained.path).record["teacher_fingerprints"] != fingerprints(members):
            raise IntegrityError(
                f"the teacher is no longer the one that {trained.path} learned from",
                why="the students of a comparison have one teacher",
                fix="bring it back, or start a new run with another out=…",
            )
    # Published weights and checkpoints of others have no file of ours; then the size of the teacher is not known.
    folders = [model_folder(source) for source in teaching.source if is_folder(source)]
    files = [folder / "model.safetensors" for folder in folders] if len(folders) == len(members) else []
    subject = Subject("teacher", assemble_teacher(members, teaching), [member.network for member in members], files)
    teacher = evaluate_subject(subject, examples, split="test", validation=data.validation)

    def measure(trained: Trained, reference: Answers, *, cost: bool) -> Evaluation:
        weights = [trained.path / "model" / "model.safetensors"]
        student = Subject(str(trained.path), Frozen(trained.network, data.class_names), [trained.network], weights)
        evaluation = evaluate_subject(student, examples, split="test", validation=data.validation, reference=reference, cost=cost)
        evaluation.save(trained.path)
        return evaluation

    alone, distilled = ([measure(trained, teacher.answers, cost=index == 0) for index, trained in enumerate(arm)] for arm in zip(*pairs, strict=True))
    kept = save_for_page(folder.path, examples, student=distilled[0].answers, teacher=teacher.answers, alone=alone[0].answers)
    return Comparison(folder.path, data.describe(), teacher, alone, distilled), kept


def _too_large(folder: RunFolder) -> tuple[str, str]:
    """What there is not enough memory for, and what may help."""
    fix = f"the networks are trained and kept: dk evaluate run=[{folder.path}/alone-0,…] batch_size={BATCH // 4}"
    return f"ask networks about {BATCH} pictures at a time", fix


def _with_seed(recipe: Recipe, index: int) -> Recipe:
    return recipe.model_copy(update={"seed": recipe.seed + index})


def _once(report: Report) -> Report:
    """Says each line the first time: of the students of other seeds only what is new, such as a warning."""
    said: set[str] = set()

    def told(line: str) -> None:
        if line not in said:
            said.add(line)
            report(line)

    return told


def _silent(line: str) -> None:
    """The first run of a kind has said it already."""
