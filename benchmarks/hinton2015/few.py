"""P8: few cases, or few labels, with soft targets or without (section 6 of the paper).

All arms take the same number of steps. Each seed draws other cases, the same for both arms of cases; which labels are kept is drawn apart. The
student on labels is stopped early, at the best of its looks at 10,000 validation pictures (about a hundred with few cases, one an epoch with many;
its last epoch is kept beside). The student on soft targets is not, and its record is that of the last epoch. The teachers are those of P1, which have
seen all pictures.
"""

from __future__ import annotations

from typing import Any

from benchmarks.hinton2015.arms import one_teacher
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import ALPHA, RATES, SEEDS, SPLIT, TEMPERATURE, mlp, seconds, training

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
CASES, STEPS, BATCH, LOOKS = 50_000, 4000, 128, 100
WORK = seconds(800, STEPS * BATCH)


def few() -> list[Job]:
    """Every share of the cases, hard and soft, and every share of the labels, soft."""
    return [
        *(_hard(share, seed) for share in SHARES for seed in SEEDS),
        *(_soft("few-soft", share, seed, {"fraction": share}, cases=share) for share in SHARES for seed in SEEDS),
        *(_soft("few-labels", share, seed, {"labelled": share}, cases=1.0) for share in SHARES[:-1] for seed in SEEDS),
    ]


def _training(rate: float, seed: int, cases: float, *, looks: int) -> dict[str, Any]:
    epochs = -(-STEPS // -(-round(cases * CASES) // BATCH))
    return training(epochs, rate, seed, batch_size=BATCH, steps=STEPS, validate_every=max(1, epochs // looks))


def _hard(share: float, seed: int) -> Job:
    given = {"model": mlp(800), "data": {**SPLIT, "augment": "none", "fraction": share, "split_seed": seed}, "objective": "hard_label"}
    return Job(
        f"few-hard/{share:g}-{seed}",
        "train",
        given | {"training": _training(RATES["alone"], seed, share, looks=LOOKS)},
        WORK,
        weights="best",
        note={"arm": "few-hard", "share": share, "seed": seed},
    )


def _soft(arm: str, share: float, seed: int, part: dict[str, float], *, cases: float) -> Job:
    source = one_teacher(seed)
    return Job(
        f"{arm}/{share:g}-{seed}",
        "distill",
        {
            "student": mlp(800),
            "data": {**SPLIT, "augment": "none", **part, "split_seed": seed},
            "objective": {"name": "distillation", "temperature": TEMPERATURE, "alpha": ALPHA},
            "training": _training(RATES["soft"], seed, cases, looks=1) | {"views": 1},
        },
        WORK,
        needs=(source,),
        students=({"name": "last"},),
        note={"arm": arm, "share": share, "seed": seed},
    )
