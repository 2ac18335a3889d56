"""What was tried before the recipes were frozen: 50,000 pictures to train on, 10,000 to choose by, one seed, the test split closed.

The teacher first: three strengths of dropout and two learning rates for 50 epochs, then the best of the light and of the strong ones for as long as the teachers are trained. Each arm of
the students then has three learning rates, with the chosen teacher of the selection (which never saw the validation pictures).
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.plan import CONTROLS
from benchmarks.hinton2015.recipe import ALPHA, REGULARISED, SPLIT, TEACHER_EPOCHS, TEMPERATURE, VIEWS, mlp, seconds, training

CASES = 50_000
DROPOUTS = {"strong": (0.2, 0.5), "medium": (0.1, 0.3), "light": (0.0, 0.2)}
TEACHER_RATES = (0.03, 0.1)
STUDENT_RATES = (0.025, 0.05, 0.1)
SHORT_TEACHER, SHORT_STUDENT = 50, 30
TEACHER = "selection/teacher-long-strong-0.03"
"""Whose soft targets the students of the selection learn."""


def _teacher(name: str, strength: str, rate: float, epochs: int) -> Job:
    inputs, hidden = DROPOUTS[strength]
    options = {"input_dropout": inputs, "hidden_dropout": hidden, "max_norm": REGULARISED["max_norm"]}
    return Job(
        f"selection/{name}-{strength}-{rate:g}",
        "train",
        {"model": mlp(1200, **options), "data": {**SPLIT, "augment": "jitter"}, "training": training(epochs, rate, 0)},
        1.25 * seconds(1200, epochs * CASES),
        split="validation",
    )


def _teachers() -> list[Job]:
    return [_teacher("teacher", strength, rate, SHORT_TEACHER) for strength in DROPOUTS for rate in TEACHER_RATES]


LONG = (("strong", 0.03), ("light", 0.03))


def _long() -> list[Job]:
    return [_teacher("teacher-long", strength, rate, TEACHER_EPOCHS) for strength, rate in LONG]


def _answers(views: int) -> Job:
    return Job(
        f"selection/answers-{views}",
        "record",
        {"teacher": [TEACHER], "data": {**SPLIT, "augment": "jitter" if views > 1 else "none"}, "views": views, "codec": "float16"},
        3.0 * views,
        needs=(TEACHER,),
    )


def _students() -> list[Job]:
    found: list[Job] = []
    for arm, (options, augment, smoothing) in CONTROLS.items():
        for rate in STUDENT_RATES:
            goal = {"name": "hard_label", "label_smoothing": smoothing}
            given = {"model": mlp(800, **options), "data": {**SPLIT, "augment": augment}, "objective": goal}
            found.append(
                Job(
                    f"selection/{arm}-{rate:g}",
                    "train",
                    given | {"training": training(SHORT_STUDENT, rate, 0)},
                    seconds(800, SHORT_STUDENT * CASES),
                    split="validation",
                )
            )
    for arm, views in (("soft", 1), ("soft-views", VIEWS)):
        source = _answers(views)
        given = {
            "student": mlp(800),
            "data": source.arguments["data"],
            "transfer": source.name,
            "objective": {"name": "distillation", "temperature": TEMPERATURE, "alpha": ALPHA},
            "training": training(SHORT_STUDENT, STUDENT_RATES[0], 0, views=views),
        }
        students = tuple({"name": f"{rate:g}", "training": {"learning_rate": rate}} for rate in STUDENT_RATES)
        work = 3 * seconds(800, SHORT_STUDENT * CASES)
        found += [source, Job(f"selection/{arm}", "distill", given, work, needs=(source.name,), students=students, split="validation")]
    return found


STAGES: Mapping[str, tuple[str, ...]] = {"select-teacher": (), "select-teacher-long": (), "select-students": ()}


def stage(name: str) -> dict[str, Job]:
    """The jobs of a stage by name, with those that they need."""
    found = {"select-teacher": _teachers, "select-teacher-long": _long, "select-students": lambda: [*_long(), *_students()]}[name]()
    return {job.name: job for job in found}
