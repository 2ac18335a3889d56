"""The experiments, row by row, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.hinton2015.arms import CONTROLS, alone, distilled, ensemble, one_teacher, teacher, together
from benchmarks.hinton2015.few import few
from benchmarks.hinton2015.grids import by_views, grid
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import MEMBERS, SEEDS, VIEWS

WIDE_TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 40.0)
NARROW_TEMPERATURES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0, 12.0, 20.0, 40.0)
NARROW_EPOCHS = 60
"""Of students with 300 units a layer and fewer."""


def sweep(width: int, seed: int, temperatures: tuple[float, ...]) -> Job:
    """P4, P5: the temperature alone changes."""
    return distilled("temperature", seed, one_teacher(seed), width=width, epochs=NARROW_EPOCHS, temperatures=temperatures)


ROWS: Mapping[str, Callable[[], list[Job]]] = {
    "P1": lambda: [teacher(seed) for seed in SEEDS],
    "P2": lambda: [alone("alone", seed) for seed in SEEDS],
    "P3": lambda: [job for seed in SEEDS for job in (one_teacher(seed), distilled("soft", seed, one_teacher(seed)))],
    "P3b-views": lambda: [
        job for seed in SEEDS for job in (one_teacher(seed, views=VIEWS), distilled("soft-views", seed, one_teacher(seed, views=VIEWS)))
    ],
    "P2b-jitter": lambda: [alone("alone-jitter", seed) for seed in SEEDS],
    "P4": lambda: [job for seed in SEEDS for job in (one_teacher(seed), sweep(300, seed, WIDE_TEMPERATURES))],
    "P5": lambda: [job for seed in SEEDS for job in (one_teacher(seed), sweep(30, seed, NARROW_TEMPERATURES))],
    "P8": lambda: [*(one_teacher(seed) for seed in SEEDS), *few()],
    "P12-sizes": lambda: [
        *(alone("alone", seed, width=width, epochs=NARROW_EPOCHS) for width in (30, 100, 300) for seed in SEEDS),
        *(job for seed in SEEDS for job in (one_teacher(seed), sweep(100, seed, (4.0, 20.0)))),
    ],
    "P12-grid": grid,
    "P12-views": by_views,
    "P2b": lambda: [alone(arm, seed) for arm in CONTROLS if arm not in ("alone", "alone-jitter") for seed in SEEDS],
    "ensemble": lambda: [*(teacher(seed) for seed in MEMBERS), together()],
    "P3b-ten": lambda: [ensemble(), *(distilled("soft-ten", seed, ensemble()) for seed in SEEDS)],
    "P3b-ten-views": lambda: [ensemble(views=VIEWS), *(distilled("soft-ten-views", seed, ensemble(views=VIEWS)) for seed in SEEDS)],
}
"""In the order in which they are run."""


def jobs(rows: list[str]) -> dict[str, Job]:
    """All jobs of some rows by name, each once, before those that need it."""
    return {job.name: job for row in rows for job in ROWS[row]()}
