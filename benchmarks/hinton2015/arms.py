"""The arms: teachers, students alone, recorded answers, distilled students, each as a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import (
    ALPHA,
    FULL,
    MEMBERS,
    RATES,
    REGULARISED,
    SMOOTHING,
    STUDENT_EPOCHS,
    TEACHER_EPOCHS,
    TEACHER_RATE,
    TEMPERATURE,
    mlp,
    seconds,
    training,
)

CASES = 60_000


def teacher(seed: int) -> Job:
    """P1: 784-1200-1200-10 with dropout, bounded weights, and shifts of at most two pixels."""
    return Job(
        f"teacher/{seed}",
        "train",
        {
            "model": mlp(1200, **REGULARISED),
            "data": {**FULL, "augment": "jitter"},
            "training": training(TEACHER_EPOCHS, TEACHER_RATE, seed),
        },
        1.25 * seconds(1200, TEACHER_EPOCHS * CASES),
        note={"arm": "teacher", "width": 1200, "seed": seed},
    )


CONTROLS: Mapping[str, tuple[Mapping[str, Any], str, float]] = {
    "alone": ({}, "none", 0.0),
    "alone-jitter": ({}, "jitter", 0.0),
    "alone-dropout": (REGULARISED, "none", 0.0),
    "alone-smoothing": ({}, "none", SMOOTHING),
    "alone-all": (REGULARISED, "jitter", SMOOTHING),
}
"""P2 and P2b: options of the student, augmentation, label smoothing."""


def alone(arm: str, seed: int, *, width: int = 800, epochs: int = STUDENT_EPOCHS) -> Job:
    """A student on labels."""
    options, augment, smoothing = CONTROLS[arm]
    return Job(
        f"{arm}/{width}-{seed}",
        "train",
        {
            "model": mlp(width, **options),
            "data": {**FULL, "augment": augment},
            "objective": {"name": "hard_label", "label_smoothing": smoothing},
            "training": training(epochs, RATES[arm], seed),
        },
        seconds(width, epochs * CASES),
        note={"arm": arm, "width": width, "seed": seed},
    )


def answers(name: str, members: tuple[int, ...], *, views: int = 1) -> Job:
    """What one teacher, or an ensemble, says to the training pictures, or to ``views`` shifts of each."""
    return Job(
        name,
        "record",
        {
            "data": {**FULL, "augment": "jitter" if views > 1 else "none"},
            "views": views,
            "codec": "float16",
            "precision": "fp32",
        },
        3.0 * len(members) * views,
        needs=tuple(teacher(member) for member in members),
    )


def one_teacher(seed: int, *, views: int = 1) -> Job:
    """The answers of one teacher."""
    return answers(f"answers/{seed}" + (f"-{views}" if views > 1 else ""), (seed,), views=views)


def ensemble(*, views: int = 1) -> Job:
    """The mean probabilities of ten teachers."""
    return answers("answers/ten" + (f"-{views}" if views > 1 else ""), tuple(MEMBERS), views=views)


def together() -> Job:
    """The ensemble itself."""
    note = {"arm": "ten", "width": 1200}
    return Job("ten", "measure", {}, 20.0, needs=tuple(teacher(member) for member in MEMBERS), note=note)


def distilled(
    arm: str, seed: int, source: Job, *, width: int = 800, epochs: int = STUDENT_EPOCHS, temperatures: tuple[float, ...] = (TEMPERATURE,)
) -> Job:
    """Students on soft targets and labels, one for each temperature."""
    views = source.arguments["views"]
    return Job(
        f"{arm}/{width}-{seed}",
        "distill",
        {
            "student": mlp(width),
            "data": {**FULL, "augment": "jitter" if views > 1 else "none"},
            "objective": {"name": "distillation", "alpha": ALPHA},
            "training": training(epochs, RATES["soft-views" if views > 1 else "soft"], seed, views=views),
        },
        seconds(width, epochs * CASES) * len(temperatures),
        needs=(source,),
        students=tuple({"name": f"T{temperature:g}", "temperature": temperature} for temperature in temperatures),
        note={"arm": arm, "width": width, "seed": seed, "alpha": ALPHA, "views": views},
    )
