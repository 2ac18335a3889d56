"""Who hears of a training run as it goes: the metric files, the progress bar, Weights & Biases, TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Plan:
    """What is about to happen: all steps and epochs, and how many of each were done before a resume."""

    name: str
    steps: int
    epochs: int
    done: int = 0
    epochs_done: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """Means over the steps since the last record of this kind, by name; an epoch's record holds the validation scores too."""

    kind: Literal["step", "epoch"]
    step: int
    epoch: float
    values: Mapping[str, float]


class Watcher(Protocol):
    """Hears of every step and every record. Nothing that it does may need the device."""

    def begin(self, plan: Plan) -> None: ...

    def step(self, done: int) -> None: ...

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...
