"""What ``--dry-run`` prints: the objective as a formula, and what would be done."""

from __future__ import annotations

from pydantic import BaseModel

from darkknowledge.pipeline._drawable import runs_of
from darkknowledge.pipeline._folders import folder_to_resume
from darkknowledge.pipeline._materials import build_objective, model_folder, require_teacher
from darkknowledge.pipeline._parts import DataSettings, ModelSettings, ObjectiveSettings, TeacherSettings
from darkknowledge.pipeline.export import target
from darkknowledge.pipeline.predict import require_place
from darkknowledge.pipeline.report import place
from darkknowledge.pipeline.settings import (
    DistillSettings,
    EvaluateSettings,
    ExportSettings,
    FigureSettings,
    ListSettings,
    PredictSettings,
    RecordSettings,
    ReportSettings,
    RunSettings,
    StageSettings,
    TrainSettings,
    TransferSetSettings,
    VerifySettings,
    students_of,
)
from darkknowledge.runs.folder import already_there, open_run
from darkknowledge.training.recipe import Recipe
from darkknowledge.transfer import TransferSet


def plan(stage: str, settings: BaseModel) -> str:
    """The plan of one job in a few lines. Teachers and runs that must exist are looked for, and the folder that must not."""
    match settings:
        case TrainSettings():
            lines = [f"train {_network(settings.model)} on {settings.data.name}", _recipe(settings.training)]
            lines.append(_formula(settings.objective, settings.data, has_teacher=False))
        case DistillSettings():
            lines = _distill_plan(settings)
        case RunSettings():
            lines = _run_plan(settings)
        case RecordSettings():
            shard = f", part {settings.shard}" if settings.shard else ""
            lines = [f"record {_teachers(settings.teacher)} on {settings.data.name}, {settings.views} views of each picture{shard}"]
            lines.append(f"into {settings.out}")
        case TransferSetSettings():
            lines = [f"{settings.action} {TransferSet.open(settings.path).path}{f' as {settings.out}' if settings.out else ''}"]
        case VerifySettings():
            lines = [f"verify {settings.path}"]
        case EvaluateSettings():
            folders = [model_folder(open_run(path).path, weights=settings.weights) for path in settings.run]
            together = f", and as one ensemble by {settings.ensemble}" if settings.ensemble else ""
            lines = [f"evaluate {', '.join(map(str, folders))} on the {settings.split} split{together}"]
        case ExportSettings():
            folder = model_folder(open_run(settings.run).path, weights=settings.weights)
            lines = [f"export {folder} as {', '.join(dict.fromkeys(('safetensors', *settings.format)))}, checked on the whole test split"]
            lines.append(f"into {target(settings)}{f', and push it to {settings.push_to}' if settings.push_to else ''}")
        case PredictSettings():
            require_place(settings)
            lines = [f"ask {settings.model} about {settings.input}"]
        case ReportSettings():
            lines = [f"the page of {', '.join(map(str, settings.runs))}", f"into {place(settings)}"]
        case ListSettings():
            lines = [f"list the runs under {settings.root}"]
        case FigureSettings():
            runs = [str(run.path) for run in runs_of(settings, finished=settings.name != "curves")]
            lines = [f"draw {settings.name} of {', '.join(runs) or 'two small networks on digits'}", f"into {settings.path}"]
        case _:
            raise AssertionError(stage)
    return "\n".join([*lines, _folder(stage, settings)] if isinstance(settings, StageSettings) else lines)


def _folder(stage: str, settings: StageSettings) -> str:
    if isinstance(settings, DistillSettings) and settings.students is not None:
        stage = "students"
    if run := folder_to_resume(stage, settings):
        return f"going on in {run.path}"
    if settings.out is not None and settings.out.exists() and not settings.resume:
        raise already_there(settings.out)
    return f"into {settings.out or 'a new folder under runs/'}"


def _distill_plan(settings: DistillSettings) -> list[str]:
    if settings.students is not None:
        parts = [(f"student {name}: ", each) for name, each in students_of(settings).items()]
        return [prefix + line for prefix, each in parts for line in _distill_plan(each)]
    lines = [f"distill {_network(settings.student)} on {settings.data.name} from {_source(settings)}", _recipe(settings.training)]
    return [*lines, _formula(settings.objective, settings.data, has_teacher=True)]


def _run_plan(settings: RunSettings) -> list[str]:
    teacher = settings.teacher
    trained = f"{teacher.members} × {_network(teacher.model)}, {_recipe(teacher.training)}"
    pairs = f"{settings.seeds} pairs of {_network(settings.student)} on {settings.data.name}"
    return [
        f"teacher: {_teachers(teacher) if teacher.source else trained}",
        f"students: {pairs}, alone and distilled, {_recipe(settings.training)}",
        _formula(settings.objective, settings.data, has_teacher=True),
    ]


def _network(settings: ModelSettings) -> str:
    options = ", ".join(f"{key}={value}" for key, value in settings.options().items() if value not in (None, 0.0, False))
    return f"{settings.name}({options})" if options else settings.name


def _recipe(recipe: Recipe) -> str:
    limit = f" (at most {recipe.steps} steps)" if recipe.steps else ""
    rate = f"{recipe.optimizer} at {recipe.learning_rate:g}, {recipe.schedule}"
    return f"{recipe.epochs} epochs{limit} in batches of {recipe.batch_size}, {rate}, seed {recipe.seed}"


def _teachers(settings: TeacherSettings) -> str:
    require_teacher(settings)
    names = [source if isinstance(source, str) else source.name for source in settings.source]
    return f"the {settings.average} average of {', '.join(names)}" if len(names) > 1 else names[0]


def _source(settings: DistillSettings) -> str:
    if settings.transfer.source is None:
        return f"{_teachers(settings.teacher)}, {settings.transfer.mode}"
    found = TransferSet.open(settings.transfer.source)
    return f"the transfer set {found.path}" + (f" of {_teachers(settings.teacher)}" if settings.teacher.source else "")


def _formula(settings: ObjectiveSettings, data: DataSettings, *, has_teacher: bool) -> str:
    return f"objective: {build_objective(settings, has_teacher=has_teacher, has_labels=not data.hide_labels).formula()}"
