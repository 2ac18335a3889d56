"""The experiments, row by row: what is trained, on what, and from which answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import (
    ALPHA,
    FULL,
    MEMBERS,
    RATES,
    REGULARISED,
    SEEDS,
    SMOOTHING,
    STUDENT_EPOCHS,
    TEACHER_EPOCHS,
    TEACHER_RATE,
    TEACHER_REGULARISED,
    TEMPERATURE,
    VIEWS,
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
            "model": mlp(1200, **TEACHER_REGULARISED),
            "data": {**FULL, "augment": "jitter"},
            "training": training(TEACHER_EPOCHS, TEACHER_RATE, seed),
        },
        1.25 * seconds(1200, TEACHER_EPOCHS * CASES),
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
    )


def answers(name: str, members: tuple[int, ...], *, views: int = 1) -> Job:
    """What one teacher, or an ensemble, says to the training pictures, or to ``views`` shifts of each."""
    return Job(
        name,
        "record",
        {
            "teacher": [f"teacher/{member}" for member in members],
            "data": {**FULL, "augment": "jitter" if views > 1 else "none"},
            "views": views,
            "codec": "float16",
            "precision": "fp32",
        },
        3.0 * len(members) * views,
        needs=tuple(f"teacher/{member}" for member in members),
    )


def one_teacher(seed: int, *, views: int = 1) -> Job:
    """The answers of one teacher."""
    return answers(f"answers/{seed}" + (f"-{views}" if views > 1 else ""), (seed,), views=views)


def ensemble(*, views: int = 1) -> Job:
    """The mean probabilities of ten teachers."""
    return answers("answers/ten" + (f"-{views}" if views > 1 else ""), tuple(MEMBERS), views=views)


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
            "transfer": source.name,
            "objective": {"name": "distillation", "alpha": ALPHA},
            "training": training(epochs, RATES["soft-views" if views > 1 else "soft"], seed, views=views),
        },
        seconds(width, epochs * CASES) * len(temperatures),
        needs=(source.name,),
        students=tuple({"name": f"T{temperature:g}", "temperature": temperature} for temperature in temperatures),
    )


WIDE_TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 40.0)
NARROW_TEMPERATURES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0, 12.0, 20.0, 40.0)

ROWS: Mapping[str, Callable[[], list[Job]]] = {
    "P1": lambda: [teacher(seed) for seed in SEEDS],
    "P2": lambda: [alone("alone", seed) for seed in SEEDS],
    "P3": lambda: [job for seed in SEEDS for job in (one_teacher(seed), distilled("soft", seed, one_teacher(seed)))],
    "P3b-views": lambda: [
        job for seed in SEEDS for job in (one_teacher(seed, views=VIEWS), distilled("soft-views", seed, one_teacher(seed, views=VIEWS)))
    ],
    "P2b-jitter": lambda: [alone("alone-jitter", seed) for seed in SEEDS],
    "P4": lambda: [distilled("temperature", seed, one_teacher(seed), width=300, temperatures=WIDE_TEMPERATURES) for seed in SEEDS],
    "P5": lambda: [distilled("temperature", seed, one_teacher(seed), width=30, temperatures=NARROW_TEMPERATURES) for seed in SEEDS],
    "P2b": lambda: [alone(arm, seed) for arm in CONTROLS if arm not in ("alone", "alone-jitter") for seed in SEEDS],
    "ensemble": lambda: [teacher(seed) for seed in MEMBERS],
    "P3b-ten": lambda: [ensemble(), *(distilled("soft-ten", seed, ensemble()) for seed in SEEDS)],
    "P3b-ten-views": lambda: [ensemble(views=VIEWS), *(distilled("soft-ten-views", seed, ensemble(views=VIEWS)) for seed in SEEDS)],
}
"""In the order in which they are run."""


def jobs(rows: list[str]) -> dict[str, Job]:
    """All jobs of some rows by name, each once, before those that need it."""
    return {job.name: job for row in rows for job in ROWS[row]()}
