"""P12: temperature and weights on a grid, the number of views, and longer training, on validation alone: advice leaves the test split closed.

The teacher is that of the selection, which was trained on the other 50,000 pictures.
"""

from __future__ import annotations

from typing import Any

from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import ALPHA, RATES, STUDENT_EPOCHS, TEMPERATURE, VIEWS as WHOLE_VIEWS, mlp, seconds, training
from benchmarks.hinton2015.selection import CASES, answers

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0, 40.0)
ALPHAS = (0.5, 0.9, 1.0)
VIEWS = (1, 2, 4, 8, WHOLE_VIEWS)
EPOCHS = (STUDENT_EPOCHS, 3 * STUDENT_EPOCHS)
SEEDS, EPOCHS_SEEDS = range(3), range(1)
GRID_WIDTH, GRID_EPOCHS, VIEWS_EPOCHS = 300, 20, 25


def grid() -> list[Job]:
    """Every temperature with every weight of the soft term; 784-300-300-10."""
    source = answers(1)
    students = tuple(
        {"name": f"T{temperature:g}-alpha{alpha:g}", "temperature": temperature, "alpha": alpha} for temperature in TEMPERATURES for alpha in ALPHAS
    )
    return [
        Job(
            f"grid/{seed}",
            "distill",
            {
                "student": mlp(GRID_WIDTH),
                "data": source.arguments["data"],
                "training": training(GRID_EPOCHS, RATES["soft"], seed, views=1, validate_every=GRID_EPOCHS),
            },
            seconds(GRID_WIDTH, GRID_EPOCHS * CASES) * len(students),
            needs=(source,),
            students=students,
            split="validation",
            note={"arm": "grid", "width": GRID_WIDTH, "seed": seed},
        )
        for seed in SEEDS
    ]


def by_views() -> list[Job]:
    """The same student from one recorded shift of each picture up to thirty-two; 784-800-800-10."""
    return [
        _student(answers(views, augment="jitter"), RATES["soft-views"], VIEWS_EPOCHS, {"arm": "views", "views": views, "seed": seed})
        for views in VIEWS
        for seed in SEEDS
    ]


def by_epochs() -> list[Job]:
    """P3 and the recorded shifts of P3b, for as long as there and three times as long: whether those students were trained too briefly."""
    sources = (answers(1), RATES["soft"]), (answers(WHOLE_VIEWS, augment="jitter"), RATES["soft-views"])
    return [
        _student(source, rate, epochs, {"arm": "epochs", "views": source.arguments["views"], "epochs": epochs, "seed": seed})
        for seed in EPOCHS_SEEDS
        for epochs in EPOCHS
        for source, rate in sources
    ]


def _student(source: Job, rate: float, epochs: int, note: dict[str, Any]) -> Job:
    """A student 784-800-800-10 at the paper's temperature, measured on validation."""
    given = {
        "student": mlp(800),
        "data": source.arguments["data"],
        "objective": {"name": "distillation", "temperature": TEMPERATURE, "alpha": ALPHA},
        "training": training(epochs, rate, note["seed"], views=note["views"], validate_every=epochs),
    }
    varied = "-".join(str(value) for key, value in note.items() if key != "arm")
    work = seconds(800, epochs * CASES)
    return Job(f"{note['arm']}/{varied}", "distill", given, work, needs=(source,), students=({"name": "last"},), split="validation", note=note)
