"""Who hears of a training run as it goes: the metric files, the progress bar, Weights & Biases, TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """Means over the steps since the last record of this kind, by name; an epoch's record holds the validation scores too."""

    kind: Literal["step", "epoch"]
    step: int
    epoch: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is about to happen: all steps and epochs, how many of each were done before a resume, and the records that were made of them."""

    name: str
    steps: int
    epochs: int
    done: int = 0
    epochs_done: int = 0
    records: Sequence[Record] = ()


class Watcher(Protocol):
    """Hears of every step and every record. Nothing that it does may need the device."""

    def begin(self, plan: Plan) -> None: ...

    def step(self, done: int) -> None: ...

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...
