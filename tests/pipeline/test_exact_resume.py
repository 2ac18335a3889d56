"""A run that is stopped or killed at every single step, and read by other numbers of processes each time, is the undisturbed run to the last bit."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from darkknowledge import DistillationLoss, Frozen
from darkknowledge.data._photos import PhotoExamples
from darkknowledge.errors import Interrupted
from darkknowledge.training import Recipe, fit
from darkknowledge.training.checkpoint import read_state, saved_states
from darkknowledge.training.metric_files import MetricFiles
from training.small import Notes, same

RECIPE = Recipe(
    epochs=3, batch_size=4, learning_rate=0.05, warmup=1.0, schedule="cosine", ema=0.9, log_every=2, checkpoint_every=0.0, device="cpu",
    precision="fp32", threads=1,
)  # fmt: skip
STEPS = 9
"""Three an epoch, of which the last is on two pictures."""
SIZE, CLASSES = 6, ("ant", "bee", "cat")


class Pngs:
    """Ten small pictures, encoded."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.files = []
        for _ in range(10):
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(file, "PNG")
            self.files.append(file.getvalue())

    def __len__(self) -> int:
        return len(self.files)

    def open(self, row: int) -> BinaryIO:
        return io.BytesIO(self.files[row])

    def where(self, row: int) -> str:
        return str(row)

    def content(self) -> Iterator[bytes]:
        yield from self.files


ROWS = torch.arange(10)
PHOTOS = PhotoExamples(Pngs(), ROWS, ROWS + 50, ROWS % 3, SIZE, workers=0).augmented("photo", seed=3)
VALIDATION = PhotoExamples(Pngs(), ROWS[:5], ROWS[:5] + 90, ROWS[:5] % 3, SIZE, workers=0)


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3))


TEACHER = network(7).eval()


def go(folder: Path, *, workers: int = 0, after_step: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """The final weights."""
    folder.mkdir(exist_ok=True)
    student = network(1)
    fit(
        student,
        DistillationLoss(temperature=3, alpha=0.7).mixture,
        replace(PHOTOS, workers=workers),
        RECIPE,
        validation=VALIDATION,
        teacher=Frozen(TEACHER, CLASSES),
        watchers=[MetricFiles(folder), Notes(after_step)],
        checkpoint=folder / "checkpoint",
    )
    return dict(student.state_dict())


def stop_at(step: int) -> Callable[[int], None]:
    def act(done: int) -> None:
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    return act


class Killed(BaseException):
    """What a kill looks like from inside: nothing is saved any more."""


def die_at(step: int) -> Callable[[int], None]:
    def act(done: int) -> None:
        if done == step:
            raise Killed

    return act


class Undisturbed:
    """That run: its state after every step, and after every epoch, by name; what is left of it at the end."""

    def __init__(self, folder: Path) -> None:
        self.states: dict[str, dict[str, Any]] = {}

        def keep(folder: Path, state: dict[str, Any], *, name: str) -> None:
            self.states[name] = deepcopy(state)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("darkknowledge.training.learner.save_state", keep)
            self.weights = go(folder)
        self.metrics = [(folder / name).read_text() for name in ("metrics.jsonl", "metrics.csv")]

    def require_same(self, folder: Path) -> None:
        """The newest state in a folder must be that of the same step."""
        found, expected = (dict(state) for state in (newest(folder), self.states[name_of(newest(folder))]))
        assert found.pop("seconds") >= 0
        assert expected.pop("seconds") >= 0
        assert found["optimizer"]["state"]
        for part in expected:
            assert same(found[part], expected[part]), (name_of(found), part)

    def require_same_end(self, folder: Path, weights: dict[str, Any]) -> None:
        assert same(weights, self.weights)
        assert [(folder / name).read_text() for name in ("metrics.jsonl", "metrics.csv")] == self.metrics


def newest(folder: Path) -> dict[str, Any]:
    return read_state(saved_states(folder / "checkpoint")[-1])


def name_of(state: dict[str, Any]) -> str:
    return f"{state['step']:08d}-{state['epochs_done']:06d}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    found = Undisturbed(tmp_path_factory.mktemp("runs") / "undisturbed")
    assert len(found.states) == STEPS + RECIPE.epochs
    return found


@pytest.mark.parametrize("workers", [(0,), (2,), (0, 2, 1)])
def test_a_run_that_is_stopped_after_every_step_walks_the_undisturbed_ones_path(
    workers: tuple[int, ...], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for step in range(1, STEPS + 1):
        with pytest.raises(Interrupted):
            go(tmp_path, workers=workers[step % len(workers)], after_step=stop_at(step))
        assert newest(tmp_path)["step"] == step
        undisturbed.require_same(tmp_path)
    undisturbed.require_same_end(tmp_path, go(tmp_path))


def test_a_run_that_is_killed_in_every_step_does_too(undisturbed: Undisturbed, tmp_path: Path) -> None:
    for step in range(1, STEPS + 1):
        with pytest.raises(Killed):
            go(tmp_path, after_step=die_at(step))
        if step > 1:
            assert newest(tmp_path)["step"] == step - 1
            undisturbed.require_same(tmp_path)
    undisturbed.require_same_end(tmp_path, go(tmp_path))
