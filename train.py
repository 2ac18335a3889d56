"""ResNet-50 teaches ResNet-18 on CIFAR-10, in three commands.

    python train.py model.name="teacher" data.download=True    # ResNet-50 with the small stem, from labels
    python train.py model.name="distill" data.download=True    # ResNet-18, from the newest finished teacher of the same data
    python train.py model.name="student" data.download=True    # ResNet-18 alone, from labels, to compare with

Keys: model.name (teacher, distill or student), model.teacher (a run folder in place of the newest), model.check (false takes a teacher that
has learned nothing yet), model.teacher_depth, model.student_depth;
data.name (cifar10 or parquet), data.root, data.download; training.epochs, .batch_size, .learning_rate, .steps, … (dk train --cfg job shows all);
objective.temperature, objective.alpha; logging.wandb (on, offline without a key), logging.project, logging.progress; out (the run folder to
make), resume (go on with the run in out where one was begun), resume_changes (settings that may be others than when it was begun).

A thin program over the package: dk train and dk distill do the same with any data, network and objective.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

try:
    from darkknowledge.cli.grammar import nested
    from darkknowledge.cli.main import guarded
    from darkknowledge.errors import IntegrityError, UsageError
    from darkknowledge.pipeline.settings import (
        DataSettings,
        DistillSettings,
        LoggingSettings,
        ModelSettings,
        ObjectiveSettings,
        Resume,
        Section,
        TeacherSettings,
        TrainSettings,
        validate,
    )
    from darkknowledge.runs.folder import RunFolder, begun, list_runs, open_run
    from darkknowledge.training.recipe import Recipe
except ModuleNotFoundError as missing:
    command = " ".join(["uv run python train.py", *sys.argv[1:]])
    print(f"error: this Python has no module {missing.name!r}\n  fix: {command}", file=sys.stderr)
    sys.exit(5)

if TYPE_CHECKING:
    from darkknowledge import Dataset, Trained


class Networks(Section):
    """What to train, and how deep the two networks are (see `darkknowledge.model.cifar_resnet`)."""

    name: Literal["teacher", "distill", "student"]
    teacher: Path | None = None
    teacher_depth: int | str = 50
    student_depth: int | str = 18
    check: bool = True
    """Whether the teacher must answer better than by guessing, which one that was trained for a moment does not."""


class Settings(Section):
    """The whole command line."""

    model: Networks
    data: DataSettings
    training: Recipe
    objective: ObjectiveSettings = ObjectiveSettings()
    logging: LoggingSettings
    out: Path | None = None
    resume: Resume = False
    resume_changes: tuple[str, ...] = ()


DEFAULTS = ["data.name=cifar10", "training.epochs=100", "training.batch_size=128", "training.weight_decay=5e-4", "logging.wandb=true"]
"""Where this program differs from the package: the usual recipe of CIFAR (with Nesterov momentum and the cosine, which are the package's)."""


def main(words: Sequence[str]) -> int:
    """Run one command line; the exit code (see `darkknowledge.errors`)."""
    if not words or {"-h", "--help"} & set(words):
        print(__doc__)
        return 0 if words else UsageError.exit_code
    settings = validate(Settings, nested([*DEFAULTS, *words]))

    from darkknowledge.pipeline._materials import load_data

    data = load_data(settings.data)
    trained = distill(settings, data) if settings.model.name == "distill" else train(settings, data)
    from rich.console import Console

    from darkknowledge.cli.tables import show_trained

    show_trained(trained, Console(width=None if sys.stdout.isatty() else 200, emoji=False))
    return 0


def train(settings: Settings, data: Dataset) -> Trained:
    """The teacher, or the student alone: labels and nothing else."""
    from darkknowledge.pipeline.train import train_from

    depth = settings.model.teacher_depth if settings.model.name == "teacher" else settings.model.student_depth
    return train_from(validate(TrainSettings, {"model": residual_network(depth), **shared(settings)}), data=data)


def distill(settings: Settings, data: Dataset) -> Trained:
    """The student from labels and the teacher's soft targets."""
    from darkknowledge.pipeline.distill import distill_from

    teacher = settings.model.teacher or teacher_before(settings) or newest_teacher(settings, data)
    student = residual_network(settings.model.student_depth)
    asked = TeacherSettings(source=(str(teacher),), check=settings.model.check)
    own = {"teacher": asked, "student": student, "objective": settings.objective}
    return distill_from(validate(DistillSettings, {**own, **shared(settings)}), data=data)


def teacher_before(settings: Settings) -> Path | None:
    """The teacher of the run to go on with, which may not be the newest any more; None where there is none."""
    if not settings.resume or settings.out is None or not begun(settings.out):
        return None
    match open_run(settings.out, finished=False).config:
        case {"teacher": {"source": [str(source)]}} if Path(source).is_dir():  # and not the name of one to fetch
            return Path(source)
    return None


def newest_teacher(settings: Settings, data: Dataset) -> Path:
    """The run that ended last of those that trained such a network on this very data.

    Raises:
        UsageError: there is none.
    """
    found = [run for run in list_runs() if taught(run, str(settings.model.teacher_depth), data)]
    if not found:
        words = [f"data.{key}={value}" for key, value in settings.data.model_dump(mode="json", exclude_unset=True).items()]
        raise UsageError(
            f"no finished run under runs/ has trained a ResNet-{settings.model.teacher_depth} on this data ({data.name})",
            fix=" ".join(["train the teacher first: python train.py model.name=teacher", *words, "… or name one with model.teacher=runs/…"]),
        )
    newest = max(found, key=lambda run: (ended(run), run.path.name))
    print(f"teacher: {newest.path}, finished {newest.record['ended']}, the newest of {len(found)} on this data")
    return newest.path


def taught(run: RunFolder, depth: str, data: Dataset) -> bool:
    """Whether a run is a finished training from labels of a residual network of this depth on this data."""
    try:
        match run.record | run.config | {"ended": ended(run)}:
            case {"kind": "train", "status": "finished", "data_fingerprint": data.fingerprint, "model": {"name": "cifar_resnet", "depth": found}}:
                return str(found) == depth
    except (IntegrityError, OverflowError, ValueError):  # a damaged run is nobody's teacher
        pass
    return False


def ended(run: RunFolder) -> float:
    """When a run came to its end, in seconds since 1970, in whatever time zone."""
    return datetime.fromisoformat(run.record.get("ended", "")).timestamp()


def residual_network(depth: int | str) -> ModelSettings:
    """A ResNet for small pictures: 3×3 stem, no pooling before the stages."""
    return ModelSettings.model_validate({"name": "cifar_resnet", "depth": str(depth)})


def shared(settings: Settings) -> dict[str, Any]:
    """What both stages are told."""
    return {name: getattr(settings, name) for name in ("data", "training", "logging", "out", "resume", "resume_changes")}


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
