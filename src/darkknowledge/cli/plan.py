"""What ``--dry-run`` prints: the objective as a formula, and what would be done."""

from __future__ import annotations

from pydantic import BaseModel

from darkknowledge.pipeline.settings import (
    DistillSettings,
    EvaluateSettings,
    ListSettings,
    ModelSettings,
    ObjectiveSettings,
    RunSettings,
    TeacherSettings,
    TrainSettings,
)
from darkknowledge.runs.folder import open_run
from darkknowledge.training.recipe import Recipe


def plan(stage: str, settings: BaseModel) -> str:
    """The plan of one job in a few lines. Teachers and runs that must exist are looked for."""
    match settings:
        case TrainSettings():
            lines = [f"train {_network(settings.model)} on {settings.data.name}", _recipe(settings.training), _formula(settings.objective)]
        case DistillSettings():
            lines = [
                f"distill {_network(settings.student)} on {settings.data.name} from {_teachers(settings.teacher)}",
                _recipe(settings.training),
                _formula(settings.objective),
            ]
        case RunSettings():
            lines = _run_plan(settings)
        case EvaluateSettings():
            lines = [f"evaluate {', '.join(str(open_run(path).path) for path in settings.run)} on the {settings.split} split"]
        case ListSettings():
            lines = [f"list the runs under {settings.root}"]
        case _:
            raise AssertionError(stage)
    out = getattr(settings, "out", None)
    return "\n".join([*lines, f"into {out or 'a new folder under runs/'}"] if hasattr(settings, "out") else lines)


def _run_plan(settings: RunSettings) -> list[str]:
    teacher = settings.teacher
    trained = f"{teacher.members} × {_network(teacher.model)}, {_recipe(teacher.training)}"
    return [
        f"teacher: {_teachers(teacher) if teacher.source else trained}",
        f"students: {settings.seeds} pairs of {_network(settings.student)} on {settings.data.name}, alone and distilled, {_recipe(settings.training)}",
        _formula(settings.objective),
    ]


def _network(settings: ModelSettings) -> str:
    options = ", ".join(f"{key}={value}" for key, value in settings.options().items() if value not in (None, 0.0, False))
    return f"{settings.name}({options})" if options else settings.name


def _recipe(recipe: Recipe) -> str:
    limit = f" (at most {recipe.steps} steps)" if recipe.steps else ""
    rate = f"{recipe.optimizer} at {recipe.learning_rate:g}, {recipe.schedule}"
    return f"{recipe.epochs} epochs{limit} in batches of {recipe.batch_size}, {rate}, seed {recipe.seed}"


def _teachers(settings: TeacherSettings) -> str:
    names = [source if isinstance(source, str) else source.name for source in settings.source]
    for source in settings.source:
        if isinstance(source, str) and ":" not in source:
            open_run(source)
    joined = ", ".join(names) or "no teacher (give teacher=runs/…)"
    return f"the {settings.average} average of {joined}" if len(names) > 1 else joined


def _formula(settings: ObjectiveSettings) -> str:
    from darkknowledge.objective import build

    return f"objective: {build(settings.name, **settings.options()).formula()}"
