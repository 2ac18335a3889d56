"""The settings of ``dk run`` on digits, chosen by cross-validation on the training pictures; the test split stays closed.

Five splits of the 1,297 training pictures (80 % to train, 20 % to validate), each with its own seed and its own teacher of three members.
Both arms try the same learning rates; the arm with a teacher also tries temperatures and weights. Run: ``uv run python benchmarks/digits/choose.py``
(about 20 minutes on one core); it prints the mean validation errors and writes results.json beside itself.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import torch

from darkknowledge import Ensemble, Frozen, Recipe
from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset, load
from darkknowledge.model import Network, build
from darkknowledge.objective import build as build_objective
from darkknowledge.runs.environment import environment
from darkknowledge.training import fit

SPLITS = 5
STUDENT = {"hidden": (16,)}
TEACHER = {"hidden": (256, 256), "input_dropout": 0.1, "hidden_dropout": 0.3}
MEMBERS = 3
RATES = (0.02, 0.05, 0.1, 0.2)
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)
ALPHAS = (0.5, 0.9, 1.0)


def train(
    data: Dataset, options: dict[str, Any], objective: str, *, seed: int, rate: float, teacher: Teacher | None = None, **goal: float
) -> tuple[Network, int]:
    """A network trained for 60 epochs, and its errors on the validation pictures."""
    torch.manual_seed(seed)
    network = build("hinton_mlp", num_classes=10, input_shape=data.input_shape, mean=data.mean, std=data.std, **options)
    recipe = Recipe(epochs=60, batch_size=64, learning_rate=rate, precision="fp32", threads=1, seed=seed)
    fitted = fit(network, build_objective(objective, **goal), data.train, recipe, validation=data.validation, teacher=teacher)
    assert fitted.last is not None
    return network, round((1 - fitted.last.accuracy) * len(data.validation))


def main() -> None:
    """Try everything and write down the errors of every split."""
    errors: dict[str, list[int]] = {}
    for split in range(SPLITS):
        data = load("digits", validation=0.2, split_seed=split, augment="none")
        members = []
        for member in range(MEMBERS):
            network, wrong = train(data, TEACHER, "hard_label", seed=100 + member, rate=0.05)
            errors.setdefault("teacher member", []).append(wrong)
            members.append(Frozen(network, data.class_names))
        teacher = Ensemble(members)
        for rate in RATES:
            errors.setdefault(f"alone, rate {rate:g}", []).append(train(data, STUDENT, "hard_label", seed=split, rate=rate)[1])
        for rate, temperature, alpha in product(RATES, TEMPERATURES, ALPHAS):
            found = train(data, STUDENT, "distillation", seed=split, rate=rate, teacher=teacher, temperature=temperature, alpha=alpha)[1]
            errors.setdefault(f"distilled, rate {rate:g}, T {temperature:g}, alpha {alpha:g}", []).append(found)
        results = {"validation_errors": errors, "validation_pictures": len(data.validation), "splits": split + 1, "environment": environment()}
        Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, wrong in sorted(errors.items(), key=lambda entry: sum(entry[1]) / len(entry[1])):
        print(f"{sum(wrong) / len(wrong):6.2f}  {name}: {wrong}")


if __name__ == "__main__":
    main()
