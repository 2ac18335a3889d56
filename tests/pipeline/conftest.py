"""A teacher and small data sets, made once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import darkknowledge
from darkknowledge import Dataset
from darkknowledge.data import from_tensors
from darkknowledge.pipeline import _training
from darkknowledge.training.watching import Plan, Record
from pipeline.small import LOGGING, STEPS, TEACHER, write_mnist


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished teachers on digits, of different seeds. Tests leave them as they are."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        darkknowledge.train(TEACHER, "digits", training=STEPS | {"epochs": 5, "seed": seed}, logging=LOGGING, out=folder / f"teacher-{seed}")
    return folder


@pytest.fixture
def stripes() -> Dataset:
    """Two classes that anyone can tell apart: rows and columns, in noise."""
    random = np.random.default_rng(0)
    labels = torch.arange(200) % 2
    images = torch.from_numpy(random.integers(0, 120, (200, 6, 6)))
    images[labels == 0, ::2] += 100
    images[labels == 1, :, ::2] += 100
    train, test = slice(0, 160), slice(160, 200)
    return from_tensors(images[train].byte(), labels[train], images[test].byte(), labels[test], class_names=["rows", "columns"], validation=40)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """The four files of a tiny MNIST."""
    write_mnist(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def no_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations without the timing of batches, which is most of their time."""
    monkeypatch.setattr("darkknowledge.pipeline._measuring.measure_cost", lambda *arguments, **named: None)


class Stopper:
    """A watcher that asks its own process to stop after a step of one run."""

    def __init__(self, name: str, step: int, number: int) -> None:
        self.name, self.at, self.number, self.here = name, step, number, False

    def begin(self, plan: Plan) -> None:
        self.here = plan.name == self.name and plan.done < self.at

    def step(self, done: int) -> None:
        if self.here and done == self.at:
            os.kill(os.getpid(), self.number)

    def record(self, record: Record) -> None: ...

    def end(self) -> None:
        self.here = False


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``stop(name, step)``: the run of that folder name gets a signal after that step."""
    usual = _training._watchers

    def install(name: str, step: int, number: int = signal.SIGTERM) -> None:
        monkeypatch.setattr(_training, "_watchers", lambda *arguments: [*usual(*arguments), Stopper(name, step, number)])

    return install
