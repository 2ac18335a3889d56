"""Several students of one teacher: in one go beside one by one, and tiny networks computed as one beside each by itself.

The first part is five temperatures of 784-800-800-10 on 60,000 pictures of 28×28 for an epoch of batches of 256, a transfer set being there already:
`distill_several` beside five calls of `distill` on the same data, which lies in memory for both; and the same for 784-100-100-10 with a live teacher
of 784-800-800-10. The second part is whole steps of S students of a few sizes in lockstep, with `Batched` beside the rule that lets none be batched.
"""

from __future__ import annotations

import tempfile
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from benchmarks._measuring import Run, compare
from torch import nn

from darkknowledge import Recipe, distill, distill_several, train
from darkknowledge.data import Dataset, from_tensors
from darkknowledge.objective import DistillationLoss
from darkknowledge.teacher import Frozen
from darkknowledge.training import Student, batched, fit_together

TEMPERATURES = (1, 2, 4, 8, 16)
SIZES = ((64, (30,)), (64, (30, 30)), (784, (30,)), (784, (300,)))
NEVER = 10**9


def measure(run: Run) -> None:
    """Both parts."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, width, mode in (("recorded", 800, "recorded"), ("live, small students", 100, "live")):
            works = _whole(run, Path(folder) / mode, width=width, mode=mode)
            run.add(f"five temperatures, teacher {name}", compare(works, to="one by one", repeats=run.rounds(10)))
    for inputs, hidden in SIZES if not run.quick else SIZES[:1]:
        for batch in (64, 256):
            for students in (2, 5, 8, 16, 32) if hidden != (300,) else (5, 16):
                works = {
                    "as one": partial(_steps, inputs, hidden, batch, students, 1),
                    "each": partial(_steps, inputs, hidden, batch, students, NEVER),
                }
                name = f"{students} × {'-'.join(map(str, (inputs, *hidden, 10)))}, batch {batch}"
                run.add(name, compare(works, to="each", repeats=run.rounds(10)))


def _whole(run: Run, folder: Path, *, width: int, mode: str) -> dict[str, Any]:
    """Five students, together and apart; the first call of either records what the teacher says."""
    data, number = _data(28, 2048 if run.quick else 60_000, validation=512), count()
    quiet = {"progress": False}
    teacher = train({"name": "hinton_mlp", "hidden": [800, 800]}, data, training={"steps": 1, "threads": 1}, logging=quiet, out=folder / "teacher")
    given: dict[str, Any] = {
        "teacher": teacher.path,
        "student": {"name": "hinton_mlp", "hidden": [width, width]},
        "data": data,
        "transfer": {"mode": mode},
        "check": False,
        "training": {"epochs": 1, "batch_size": 256, "threads": 1},
        "logging": quiet,
    }

    def together() -> None:
        distill_several([{"temperature": temperature} for temperature in TEMPERATURES], out=folder / "runs" / str(next(number)), **given)

    def apart() -> None:
        for temperature in TEMPERATURES:
            distill(temperature=temperature, out=folder / "runs" / str(next(number)), **given)

    return {"in one go": together, "one by one": apart}


def _steps(inputs: int, hidden: tuple[int, ...], batch: int, students: int, many: int) -> None:
    """Thirty steps of some students with as many temperatures; from ``many`` students on they are computed as one."""
    data = _data(int(inputs**0.5), 30 * batch)
    recipe = Recipe(epochs=1, batch_size=batch, precision="fp32", device="cpu", threads=1, compile="off")
    group = [Student(_network(inputs, hidden), DistillationLoss(temperature=1.0 + index, alpha=0.9).mixture, recipe) for index in range(students)]
    with patch.object(batched, "MANY", many), patch.object(batched, "SMALL", NEVER):
        fit_together(group, data.train, teacher=Frozen(_network(inputs, (10,)), data.class_names))


def _data(side: int, examples: int, *, validation: int = 0) -> Dataset:
    """Pictures of noise, so many to train on and to validate on."""
    whole = examples + validation
    images = torch.randint(0, 256, (whole, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return from_tensors(images, torch.arange(whole) % 10, class_names=[*"0123456789"], validation=validation)


def _network(inputs: int, hidden: tuple[int, ...]) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for units in hidden:
        layers += [nn.Linear(inputs, units), nn.ReLU()]
        inputs = units
    return nn.Sequential(*layers, nn.Linear(inputs, 10))
