"""The settings of ``dk run`` on digits, chosen by cross-validation on the training pictures; the test split stays closed.

Five splits of the 1,297 training pictures (80 % to train, 20 % to validate), each with its own seed and its own teacher of three members.
Students of two widths; both arms try the same learning rates, the arm with a teacher also temperatures and weights. Run:
``uv run python benchmarks/digits/choose.py`` (about 40 minutes on one core); it prints the mean validation errors and writes results.json beside
itself, where it also finds what it need not try again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
TEACHER = {"hidden": (256, 256), "input_dropout": 0.1, "hidden_dropout": 0.3}
MEMBERS = 3
GRIDS = {16: ((0.02, 0.05, 0.1, 0.2), (1.0, 2.0, 4.0, 8.0, 16.0)), 32: ((0.05, 0.1), (2.0, 4.0, 8.0, 16.0))}
"""For each width of the student the learning rates and the temperatures; the second width keeps what was of use at the first."""
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


def settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting of a student by name: the options of `train`."""
    for width, (rates, temperatures) in GRIDS.items():
        for rate in rates:
            student = {"options": {"hidden": (width,)}, "rate": rate}
            yield f"{width} units, alone, rate {rate:g}", {**student, "objective": "hard_label"}
            for temperature, alpha in product(temperatures, ALPHAS):
                name = f"{width} units, distilled, rate {rate:g}, T {temperature:g}, alpha {alpha:g}"
                yield name, {**student, "objective": "distillation", "temperature": temperature, "alpha": alpha}


def make_teacher(data: Dataset, errors: list[int]) -> Ensemble:
    """The teacher of a split; the errors of its members are added to ``errors``."""
    members = []
    for member in range(MEMBERS):
        network, wrong = train(data, TEACHER, "hard_label", seed=100 + member, rate=0.05)
        errors.append(wrong)
        members.append(Frozen(network, data.class_names))
    return Ensemble(members)


def main() -> None:
    """Try everything that has not been tried and write down the errors of every split."""
    path = Path(__file__).with_name("results.json")
    errors: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))["validation_errors"] if path.is_file() else {}
    for split in range(SPLITS):
        missing = [(name, options) for name, options in settings() if len(errors.get(name, ())) <= split]
        if missing:
            data = load("digits", validation=0.2, split_seed=split, augment="none")
            known = errors.setdefault("member of the teacher", [])
            teacher = make_teacher(data, known if len(known) <= split * MEMBERS else [])
            for name, options in missing:
                distilled = options["objective"] == "distillation"
                errors.setdefault(name, []).append(train(data, seed=split, teacher=teacher if distilled else None, **options)[1])
            results = {"validation_errors": errors, "validation_pictures": len(data.validation), "environment": environment()}
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, wrong in sorted(errors.items(), key=lambda entry: sum(entry[1]) / len(entry[1])):
        print(f"{sum(wrong) / len(wrong):6.2f}  {name}: {wrong}")


if __name__ == "__main__":
    main()
