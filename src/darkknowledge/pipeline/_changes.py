"""What may be another way when a run is gone on with.

A run is a function of its configuration, so it goes on with the same one. Three kinds of settings are told apart:

- Those that change no result pass: who hears of the run, where the same data lie, how many processes read them. So do more epochs, where each step
  that was done is the one that the longer run would have done.
- Those that every step looks up anew may change if they are named with ``resume_changes``. What comes is the run up to its last saved state, and from
  there on another one; ``run.json`` says which settings changed and when.
- All others never change: the state would not fit (networks, optimizer), the examples of the epoch under way would be seen twice or not at all (seed,
  batch size, views), or it would be another run altogether (data, teacher).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from darkknowledge.errors import IntegrityError, UsageError, close_match
from darkknowledge.pipeline.settings import ChangeableSettings, StageSettings, TrainSettings
from darkknowledge.runs.folder import RunFolder
from darkknowledge.training.recipe import Recipe

NO_SETTINGS = ("out", "resume", "resume_changes")
FREE = ("logging", "plugins", "data.root", "data.download", "data.workers", "training.log_every", "training.checkpoint_every")
NAMED = (
    *(f"training.{name}" for name in ("epochs", "learning_rate", "schedule", "warmup", "milestones", "decay", "clip_norm", "validate_every")),
    *(f"training.{name}" for name in ("accumulate", "precision", "compile", "device", "threads")),
    *(f"objective.{name}" for name in ("temperature", "alpha", "hard_weight", "soft_weight", "label_smoothing")),
)

Differences = dict[str, tuple[Any, Any]]
"""By dotted name what a setting was, and what it is now."""


def differences(run: RunFolder, settings: StageSettings) -> Differences:
    """What is another way than in the run."""
    now = settings.model_dump(mode="json")
    return dict(_differences({**run.config, **dict.fromkeys(NO_SETTINGS)}, {**now, **dict.fromkeys(NO_SETTINGS)}))


def refuse_changes(run: RunFolder, settings: StageSettings) -> None:
    """Refuse to go on with another configuration than that of the run.

    Raises:
        UsageError: settings are others that may not change, or are not named; all of them are listed.
        IntegrityError: the run's own cannot be what it was begun with.
    """
    meant = settings.resume_changes if isinstance(settings, ChangeableSettings) else ()
    unknown = [key for key in meant if key not in NAMED]
    if unknown:
        raise UsageError(f"resume_changes names {unknown[0]}, which cannot change in a run", fix=close_match(unknown[0], NAMED))
    found = differences(run, settings)
    try:
        may = [key for key in found if _may_change(key, run, settings)]
        refused = [key for key in found if not _free(key, run, settings) and not (key in may and key in meant)]
    except (KeyError, TypeError, ValueError) as error:
        what = "config.yaml is not the configuration of such a run"
        raise IntegrityError(what, where=str(run.path / "config.yaml"), why=str(error), fix="do not use this folder") from error
    if refused:
        others = f", go on otherwise with resume_changes=[{','.join(sorted({*meant, *refused} & {*may}))}]" if {*refused} <= {*may} else ""
        raise UsageError(
            "the run to resume has " + "\n    ".join(f"{key}={found[key][0]}, and now it is {found[key][1]}" for key in refused),
            where=str(run.path),
            why="a resumed run is the run that was begun",
            fix=f"leave out {', '.join(refused)}{others}, or start a new run with another out=…",
        )


def _may_change(key: str, run: RunFolder, settings: StageSettings) -> bool:
    """Whether a difference may be meant: not where a finished run has no step left, nor in a comparison, whose students must be alike."""
    fewer = key == "training.epochs" and settings.training.epochs < run.config["training"]["epochs"]
    return key in NAMED and not fewer and not run.finished and isinstance(settings, ChangeableSettings)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", (old, new)


def _free(key: str, run: RunFolder, settings: StageSettings) -> bool:
    """Whether a difference changes no result."""
    if key == "training.epochs":
        before = Recipe(**run.config["training"])
        return _may_change(key, run, settings) and _goes_on_alike(before, settings.training, recorded=not isinstance(settings, TrainSettings))
    if key == "data.root" and not isinstance(settings, ChangeableSettings):  # a comparison's finished students do not look at the data any more
        return False
    return any(f"{key}.".startswith(f"{part}.") for part in (*FREE, *(f"teacher.{part}" for part in FREE)))


def _goes_on_alike(before: Recipe, now: Recipe, *, recorded: bool) -> bool:
    """Whether a run of more epochs would have done the steps of the shorter one, and needs no answers of a teacher that are not recorded."""
    rate = "cosine" not in (before.schedule, now.schedule) and now.warmup <= before.epochs / 2
    shared = now.views is not None and now.views < before.epochs
    own = not recorded and (now.views is None or now.views >= now.epochs)
    return now.epochs > before.epochs and now.steps is None and now.validate_every == 1 and rate and (shared or own)
