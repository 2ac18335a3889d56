"""What was tried before the recipes were frozen: 50,000 pictures to train on, 10,000 to choose by, one seed, the test split closed.

The teacher first: strengths of dropout, learning rates and initial weights for 50 epochs, one after another where the last trial pointed; then the
two most promising for as long as the teachers are trained. Each arm of the students then has three learning rates, with the better of these two as
its teacher (which never saw the validation pictures either). The two arms of P8 have four rates and two warm-ups each,
with 3 % of the cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.hinton2015.arms import CONTROLS
from benchmarks.hinton2015.few import WARMUPS, WORK, hard, soft
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import ALPHA, MAX_NORM, SPLIT, TEACHER_EPOCHS, TEMPERATURE, VIEWS, mlp, seconds, training

CASES = 50_000
DROPOUTS = {"strong": (0.2, 0.5), "medium": (0.1, 0.3), "light": (0.0, 0.2)}
"""Of inputs and of hidden units; the strong one is that of Hinton et al. (2012)."""
SMALL = 0.01
"""Standard deviation of the initial weights in Hinton et al. (2012); the alternative is that of He et al. (2015)."""
Trial = tuple[str, float, float | None]
"""Dropout, learning rate, standard deviation of the initial weights."""
SHORT_TRIALS: tuple[Trial, ...] = (
    ("strong", 0.03, None),
    ("medium", 0.03, None),
    ("medium", 0.1, None),
    ("light", 0.1, None),
    ("strong", 0.1, SMALL),
    ("light", 0.1, SMALL),
)
LONG_TRIALS: tuple[Trial, ...] = (("medium", 0.1, SMALL), ("light", 0.1, SMALL))
STUDENT_RATES = (0.025, 0.05, 0.1)
SHORT_TEACHER, SHORT_STUDENT = 50, 20
FEW = 0.03
"""Share of the cases at which P8 is judged."""
FEW_RATES = {"few-hard": (0.05, 0.1, 0.2, 0.4), "few-soft": (0.00625, 0.0125, 0.025, 0.05)}
"""About the rates that were chosen with all cases."""


def _teacher(strength: str, rate: float, std: float | None, epochs: int) -> Job:
    inputs, hidden = DROPOUTS[strength]
    options: dict[str, Any] = {"input_dropout": inputs, "hidden_dropout": hidden, "max_norm": MAX_NORM, "initial_std": std}
    return Job(
        f"selection/teacher-{epochs}-{strength}-{rate:g}-{'small' if std else 'he'}",
        "train",
        {"model": mlp(1200, **options), "data": {**SPLIT, "augment": "jitter"}, "training": training(epochs, rate, 0)},
        1.25 * seconds(1200, epochs * CASES),
        split="validation",
        note={"arm": "teacher", "epochs": epochs, "rate": rate, "std": std, "input_dropout": inputs, "hidden_dropout": hidden},
    )


def _short() -> list[Job]:
    return [_teacher(*trial, SHORT_TEACHER) for trial in SHORT_TRIALS]


def long_trials() -> list[Job]:
    """The teachers that were trained to the end."""
    return [_teacher(*trial, TEACHER_EPOCHS) for trial in LONG_TRIALS]


TEACHER = _teacher("medium", 0.1, SMALL, TEACHER_EPOCHS)
"""Whose soft targets the students of the selection learn: as many errors as the other one (to within one), and a lower NLL."""


def answers(views: int, *, augment: str = "none") -> Job:
    """What the chosen teacher says to the training pictures, or to shifts of them."""
    return Job(
        f"selection/answers-{views}-{augment}",
        "record",
        {"data": {**SPLIT, "augment": augment}, "views": views, "codec": "float16"},
        3.0 * views,
        needs=(TEACHER,),
    )


def _students() -> list[Job]:
    found: list[Job] = []
    for arm, (options, augment, smoothing) in CONTROLS.items():
        for rate in STUDENT_RATES:
            goal = {"name": "hard_label", "label_smoothing": smoothing}
            given: dict[str, Any] = {"model": mlp(800, **options), "data": {**SPLIT, "augment": augment}, "objective": goal}
            found.append(
                Job(
                    f"selection/{arm}-{rate:g}",
                    "train",
                    given | {"training": training(SHORT_STUDENT, rate, 0)},
                    seconds(800, SHORT_STUDENT * CASES),
                    split="validation",
                    note={"arm": arm, "epochs": SHORT_STUDENT, "rate": rate},
                )
            )
    for arm, views in (("soft", 1), ("soft-views", VIEWS)):
        source = answers(views, augment="jitter" if views > 1 else "none")
        given = {
            "student": mlp(800),
            "data": source.arguments["data"],
            "objective": {"name": "distillation", "temperature": TEMPERATURE, "alpha": ALPHA},
            "training": training(SHORT_STUDENT, STUDENT_RATES[0], 0, views=views),
        }
        students = tuple({"name": f"{rate:g}", "training": {"learning_rate": rate}} for rate in STUDENT_RATES)
        work = 3 * seconds(800, SHORT_STUDENT * CASES)
        found += [
            source,
            Job(
                f"selection/{arm}",
                "distill",
                given,
                work,
                needs=(source,),
                students=students,
                split="validation",
                note={"arm": arm, "epochs": SHORT_STUDENT},
            ),
        ]
    return found


def _few() -> list[Job]:
    source = answers(1)
    return [source, *(_few_trial(arm, rate, warmup, source) for arm, rates in FEW_RATES.items() for rate in rates for warmup in WARMUPS)]


def _few_trial(arm: str, rate: float, warmup: str, source: Job) -> Job:
    given = hard(FEW, 0, rate, warmup) if arm == "few-hard" else soft({"fraction": FEW}, 0, rate, warmup)
    name, note = f"selection/{arm}-{rate:g}-{warmup}", {"arm": arm, "rate": rate, "share": FEW, "warmup": given["training"]["warmup"]}
    if arm == "few-hard":
        return Job(name, "train", given, WORK, weights="best", split="validation", note=note)
    return Job(name, "distill", given, WORK, needs=(source,), students=({"name": "last"},), split="validation", note=note)


STAGES: dict[str, Callable[[], list[Job]]] = {
    "select-teacher": _short,
    "select-teacher-long": long_trials,
    "select-students": _students,
    "select-few": _few,
}
"""In the order in which they are run."""
