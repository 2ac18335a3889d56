"""The settings of ``dk run experiment=mnist``, chosen on 5,000 validation pictures of MNIST; the test split stays closed.

First the dropout of the teacher, then temperature and learning rate of the students, which the student alone may choose as well: 20 epochs each,
one seed, the students of a kind from the same initial weights. Run: ``uv run python benchmarks/mnist/choose.py DATA_ROOT`` (about 20 minutes on one
core); choice.json beside it grows as it goes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from darkknowledge import Frozen, Recipe
from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset, load
from darkknowledge.errors import DivergedError
from darkknowledge.model import Network, build
from darkknowledge.objective import build as build_objective
from darkknowledge.runs.environment import environment
from darkknowledge.training import fit

DROPOUTS = ((0.0, 0.2), (0.2, 0.5))
RATES = (0.05, 0.1)
TEMPERATURES = (4.0, 8.0, 20.0)


def train(
    data: Dataset, hidden: tuple[int, ...], recipe: Recipe, objective: str, teacher: Teacher | None = None, **options: Any
) -> tuple[Network, int | None]:
    """A network and its errors on the validation pictures, None where training diverged."""
    goal = {key: options.pop(key) for key in ("temperature", "alpha") if key in options}
    torch.manual_seed(recipe.seed)
    network = build("hinton_mlp", num_classes=10, input_shape=data.input_shape, mean=data.mean, std=data.std, hidden=hidden, **options)
    try:
        fitted = fit(network, build_objective(objective, **goal), data.train, recipe, validation=data.validation, teacher=teacher)
    except DivergedError:
        return network, None
    assert fitted.last is not None
    return network, round((1 - fitted.last.accuracy) * len(data.validation))


def main() -> None:
    """Try everything; the best teacher teaches."""
    plain, shifted = (load("mnist", root=sys.argv[1], validation=5000, augment=augment) for augment in ("none", "jitter"))
    errors: dict[str, int | None] = {}

    def note(name: str, wrong: int | None) -> None:
        errors[name] = wrong
        print(f"{name}: {wrong}", flush=True)
        found = {"validation_errors": errors, "validation_pictures": len(plain.validation), "environment": environment()}
        Path(__file__).with_name("choice.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    teachers = {}
    for inputs, hidden in DROPOUTS:
        recipe = Recipe(epochs=30, learning_rate=0.1, threads=1)
        options = {"input_dropout": inputs, "hidden_dropout": hidden, "max_norm": 3.87}
        network, wrong = train(shifted, (1200, 1200), recipe, "hard_label", **options)
        note(f"teacher, dropout {inputs:g} and {hidden:g}", wrong)
        teachers[wrong or len(plain.validation)] = network
    teacher = Frozen(teachers[min(teachers)], plain.class_names)
    for rate in RATES:
        recipe = Recipe(epochs=20, learning_rate=rate, threads=1)
        note(f"student alone, rate {rate:g}", train(plain, (800, 800), recipe, "hard_label")[1])
        for temperature in TEMPERATURES:
            wrong = train(plain, (800, 800), recipe, "distillation", teacher, temperature=temperature, alpha=0.9)[1]
            note(f"student distilled, rate {rate:g}, T {temperature:g}, alpha 0.9", wrong)


if __name__ == "__main__":
    main()
