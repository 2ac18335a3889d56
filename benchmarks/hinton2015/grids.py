"""P12: temperature and weights on a grid, and the number of views, on validation pictures alone: advice on choosing leaves the test split closed.

The teacher is that of the selection, which was trained on the other 50,000 pictures.
"""

from __future__ import annotations

from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import ALPHA, RATES, SPLIT, TEMPERATURE, mlp, seconds, training
from benchmarks.hinton2015.selection import CASES, answers

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0, 40.0)
ALPHAS = (0.5, 0.9, 1.0)
VIEWS = (1, 2, 4, 8, 32)
SEEDS = range(3)
GRID_WIDTH, GRID_EPOCHS, VIEWS_EPOCHS = 300, 30, 40


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
    found: list[Job] = []
    for views in VIEWS:
        source = answers(views, augment="jitter")
        for seed in SEEDS:
            given = {
                "student": mlp(800),
                "data": {**SPLIT, "augment": "jitter"},
                "objective": {"name": "distillation", "temperature": TEMPERATURE, "alpha": ALPHA},
                "training": training(VIEWS_EPOCHS, RATES["soft-views"], seed, views=views, validate_every=VIEWS_EPOCHS),
            }
            found.append(
                Job(
                    f"views/{views}-{seed}",
                    "distill",
                    given,
                    seconds(800, VIEWS_EPOCHS * CASES),
                    needs=(source,),
                    students=({"name": "last"},),
                    split="validation",
                    note={"arm": "views", "views": views, "seed": seed},
                )
            )
    return found
