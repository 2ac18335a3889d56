"""The experiments, row by row, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.hinton2015.arms import CONTROLS, alone, distilled, ensemble, one_teacher, teacher, together
from benchmarks.hinton2015.few import few
from benchmarks.hinton2015.grids import by_epochs, by_views, grid
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import MEMBERS, SEEDS, TEMPERATURE, VIEWS
from benchmarks.hinton2015.selection import STAGES

WIDE_TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 40.0)
NARROW_TEMPERATURES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0, 12.0, 20.0, 40.0)
NARROW_WIDTHS, NARROW_EPOCHS = (30, 100, 300), 60
"""Units a layer of the smaller students, and their epochs."""
SIZE_TEMPERATURES = (4.0, TEMPERATURE)
"""Of students of all sizes."""


def sweep(width: int, seed: int, temperatures: tuple[float, ...]) -> Job:
    """P4, P5: the temperature alone changes."""
    return distilled("temperature", seed, one_teacher(seed), width=width, epochs=NARROW_EPOCHS, temperatures=temperatures)


ROWS: dict[str, Callable[[], list[Job]]] = {
    "P1": lambda: [teacher(seed) for seed in SEEDS],
    "P2": lambda: [alone("alone", seed) for seed in SEEDS],
    "P3": lambda: [distilled("soft", seed, one_teacher(seed)) for seed in SEEDS],
    "P3b-views": lambda: [distilled("soft-views", seed, one_teacher(seed, views=VIEWS)) for seed in SEEDS],
    "P2b-jitter": lambda: [alone("alone-jitter", seed) for seed in SEEDS],
    "P4": lambda: [sweep(300, seed, WIDE_TEMPERATURES) for seed in SEEDS],
    "P5": lambda: [sweep(30, seed, NARROW_TEMPERATURES) for seed in SEEDS],
    "P8": few,
    "P12-sizes": lambda: [
        *(alone("alone", seed, width=width, epochs=NARROW_EPOCHS) for width in NARROW_WIDTHS for seed in SEEDS),
        *(sweep(100, seed, SIZE_TEMPERATURES) for seed in SEEDS),
    ],
    "P12-grid": grid,
    "P12-views": by_views,
    "P12-epochs": by_epochs,
    "P2b": lambda: [alone(arm, seed) for arm in CONTROLS if arm not in ("alone", "alone-jitter") for seed in SEEDS],
    "ensemble": lambda: [*(teacher(seed) for seed in MEMBERS), together()],
    "P3b-ten": lambda: [distilled("soft-ten", seed, ensemble()) for seed in SEEDS],
    "P3b-ten-views": lambda: [distilled("soft-ten-views", seed, ensemble(views=VIEWS)) for seed in SEEDS],
}
"""In the order in which they are run."""


def jobs(names: Iterable[str]) -> dict[str, Job]:
    """All jobs of some rows, or stages of the selection, by name: each once, after those that it needs."""
    found: dict[str, Job] = {}

    def add(job: Job) -> None:
        if job.name not in found:
            for need in job.needs:
                add(need)
            found[job.name] = job

    for name in names:
        for job in (ROWS | STAGES)[name]():
            add(job)
    return found
