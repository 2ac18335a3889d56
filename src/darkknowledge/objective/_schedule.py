"""Weights that may change during training, as functions of the number of epochs done, which need not be whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeAlias

from darkknowledge.errors import UsageError, close_match
from darkknowledge.objective._checks import check_weight


@dataclass(frozen=True, slots=True)
class Constant:
    """The same weight always."""

    value: float

    def __post_init__(self) -> None:
        check_weight("weight", self.value)

    def __call__(self, epoch: float) -> float:
        return float(self.value)

    def __str__(self) -> str:
        return f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class Linear:
    """From ``start`` to ``end`` in a straight line over the first ``epochs``, then ``end``; with 0 epochs ``end`` at once."""

    start: float
    end: float
    epochs: float

    def __post_init__(self) -> None:
        for name in ("start", "end", "epochs"):
            check_weight(name, getattr(self, name))

    def __call__(self, epoch: float) -> float:
        done = _share(epoch, self.epochs)
        return (1 - done) * self.start + done * self.end

    def __str__(self) -> str:
        return f"({self.start:g} → {self.end:g} in {self.epochs:g} epochs)"


@dataclass(frozen=True, slots=True)
class WarmUp:
    """``value`` · min(1, epoch / ``epochs``): from 0 at the start, ``value`` from then on; with 0 epochs ``value`` at once."""

    value: float
    epochs: float

    def __post_init__(self) -> None:
        for name in ("value", "epochs"):
            check_weight(name, getattr(self, name))

    def __call__(self, epoch: float) -> float:
        return self.value * _share(epoch, self.epochs)

    def __str__(self) -> str:
        return f"(0 → {self.value:g} in {self.epochs:g} epochs)"


Schedule: TypeAlias = Constant | Linear | WarmUp
Weight: TypeAlias = float | Mapping[str, Any] | Schedule
SCHEDULES: Mapping[str, Callable[..., Schedule]] = {"constant": Constant, "linear": Linear, "warm_up": WarmUp}


def schedule(weight: Weight) -> Schedule:
    """The schedule that plain data describe: ``0.9``, or ``{"name": "linear", "start": 0, "end": 1, "epochs": 10}``.

    Raises:
        UsageError: an unknown name, a missing or unknown key, or a value that is no finite number of at least 0.

    >>> schedule({"name": "warm_up", "value": 0.5, "epochs": 4})(1.0)
    0.125
    """
    if isinstance(weight, Schedule):
        return weight
    if not isinstance(weight, Mapping):
        return Constant(weight)
    name = str(weight.get("name", ""))
    if name not in SCHEDULES:
        raise UsageError(f"{name!r} is no schedule of a weight" if name else "a weight's schedule has no name", fix=close_match(name, SCHEDULES))
    given, keys = set(weight) - {"name"}, set(signature(SCHEDULES[name]).parameters)
    if given != keys:
        wrong = ", ".join(sorted(map(str, given ^ keys)))
        raise UsageError(f"the schedule {name} takes {', '.join(sorted(keys))}; missing or unknown: {wrong}")
    return SCHEDULES[name](**{key: weight[key] for key in keys})


def _share(epoch: float, epochs: float) -> float:
    """Of the schedule's epochs, how much is done, in [0, 1]."""
    return 1.0 if epoch >= epochs else max(0.0, epoch / epochs)
