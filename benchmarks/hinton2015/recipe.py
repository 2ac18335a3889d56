"""The frozen recipes: networks, training, and what was chosen on validation (see selection.py and README.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SEEDS = range(5)
MEMBERS = range(10)
"""Teachers of the ensemble; the first five are those of P1."""

FULL = {"validation": 0}
"""All 60,000 training pictures, once nothing is chosen any more."""
SPLIT = {"validation": 10_000}
"""50,000 to train on and 10,000 to choose by."""

MAX_NORM = 3.87
"""Hinton et al. (2012): the squared norm of a unit's incoming weights is at most 15."""
REGULARISED = {"input_dropout": 0.1, "hidden_dropout": 0.3, "max_norm": MAX_NORM}
"""Of the teacher, and of the controls. Dropout of 0.2 and 0.5, as in the paper's source, needs far more epochs."""
INITIAL_STD = 0.01
"""Of all initial weights, as in Hinton et al. (2012)."""

TEACHER_EPOCHS, STUDENT_EPOCHS = 150, 100
TEACHER_RATE = 0.1
TEMPERATURE, ALPHA = 20.0, 0.9
"""The paper's temperature for this network, and a "considerably lower weight" of the labels."""
VIEWS = 32
"""Recorded shifts of each picture, out of the 25 that there are (some are drawn twice)."""
SMOOTHING = 0.1

RATES: Mapping[str, float] = {
    "alone": 0.1,
    "alone-jitter": 0.1,
    "alone-dropout": 0.1,
    "alone-smoothing": 0.1,
    "alone-all": 0.1,
    "soft": 0.025,
    "soft-views": 0.05,
    "few-hard": 0.1,
    "few-soft": 0.025,
}
"""Learning rate of each arm."""
FEW_WARMUPS = {"few-hard": "short", "few-soft": "long"}
"""Of the arms of P8, see few.py."""


def mlp(width: int, **options: Any) -> dict[str, Any]:
    """784-width-width-10."""
    return {"name": "hinton_mlp", "hidden": [width, width], "initial_std": INITIAL_STD, **options}


def training(epochs: int, rate: float, seed: int, **options: Any) -> dict[str, Any]:
    """Batches of 256, Nesterov momentum 0.9, an epoch of warm-up, cosine to 0, bf16 products; one thread."""
    return {"epochs": epochs, "learning_rate": rate, "seed": seed, "precision": "bf16", "threads": 1, **options}


def weights(width: int) -> int:
    """Of 784-width-width-10."""
    return 784 * width + width * width + 10 * width


def seconds(width: int, examples: float) -> float:
    """Roughly, of training on so many examples (epochs times pictures) with one thread: for the estimate of the time that is left."""
    return examples / 60_000 * (0.3 + 1.25e-6 * weights(width))
