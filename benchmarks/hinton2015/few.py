"""P8: few cases, or few labels, with soft targets or without (section 6 of the paper).

All arms take the same number of steps. Each seed draws other cases, the same for both arms of cases; which labels are kept is drawn apart. The
student on labels is stopped early, at the best of its looks at 10,000 validation pictures (about a hundred with few cases, one an epoch with many;
its last epoch is kept beside). The student on soft targets is not, and its record is that of the last epoch. The teachers are those of P1, which have
seen all pictures. The warm-up is one epoch, as everywhere else, or takes as many steps as one epoch of all cases: an epoch of few cases is over
before the rate could rise slowly. Each arm has the one that was better for it on validation, and its rate (see selection.py).
"""

from __future__ import annotations

from typing import Any

from benchmarks.hinton2015.arms import one_teacher
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import ALPHA, FEW_WARMUPS, RATES, SEEDS, SPLIT, TEMPERATURE, mlp, seconds, training

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
CASES, STEPS, BATCH, LOOKS = 50_000, 4000, 128, 100
WARMUPS = {"short": None, "long": -(-CASES // BATCH)}
"""Steps; None is one epoch, of however few cases."""
WORK = seconds(800, STEPS * BATCH)


def few() -> list[Job]:
    """Every share of the cases, hard and soft, and every share of the labels, soft."""
    return [
        *(_hard(share, seed) for share in SHARES for seed in SEEDS),
        *(_soft("few-soft", share, seed, {"fraction": share}) for share in SHARES for seed in SEEDS),
        *(_soft("few-labels", share, seed, {"labelled": share}) for share in SHARES[:-1] for seed in SEEDS),
    ]


def hard(share: float, seed: int, rate: float, warmup: str) -> dict[str, Any]:
    """What the student on the labels of a share of the cases is given."""
    data = {**SPLIT, "augment": "none", "fraction": share, "split_seed": seed}
    return {"model": mlp(800), "data": data, "objective": "hard_label", "training": _training(rate, seed, share, warmup, looks=LOOKS)}


def soft(part: dict[str, float], seed: int, rate: float, warmup: str) -> dict[str, Any]:
    """What the student on soft targets is given: of a share of the cases (``fraction``), or of all with a share of the labels (``labelled``)."""
    return {
        "student": mlp(800),
        "data": {**SPLIT, "augment": "none", **part, "split_seed": seed},
        "objective": {"name": "distillation", "temperature": TEMPERATURE, "alpha": ALPHA},
        "training": _training(rate, seed, part.get("fraction", 1.0), warmup, looks=1) | {"views": 1},
    }


def _training(rate: float, seed: int, cases: float, warmup: str, *, looks: int) -> dict[str, Any]:
    epoch = -(-round(cases * CASES) // BATCH)
    epochs = -(-STEPS // epoch)
    options = {"warmup": round((WARMUPS[warmup] or epoch) / epoch, 4), "validate_every": max(1, epochs // looks)}
    return training(epochs, rate, seed, batch_size=BATCH, steps=STEPS, **options)


def _hard(share: float, seed: int) -> Job:
    given = hard(share, seed, RATES["few-hard"], FEW_WARMUPS["few-hard"])
    return Job(f"few-hard/{share:g}-{seed}", "train", given, WORK, weights="best", note={"arm": "few-hard", "share": share, "seed": seed})


def _soft(arm: str, share: float, seed: int, part: dict[str, float]) -> Job:
    source, given = one_teacher(seed), soft(part, seed, RATES["few-soft"], FEW_WARMUPS["few-soft"])
    note = {"arm": arm, "share": share, "seed": seed}
    return Job(f"{arm}/{share:g}-{seed}", "distill", given, WORK, needs=(source,), students=({"name": "last"},), note=note)
