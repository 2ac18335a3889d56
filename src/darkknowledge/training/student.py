"""What goes into training, and what training leaves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from darkknowledge.contract import Objective, Report
from darkknowledge.training.recipe import Recipe
from darkknowledge.training.validation import Score
from darkknowledge.training.watching import Watcher


@dataclass(frozen=True, slots=True)
class Student:
    """A network to train in place, and what it is trained for and how: what it does not share with those that are trained with it.

    ``checkpoint`` is the folder of its training states, the newest of which it goes on from where there is one; ``report`` hears of damaged ones.
    """

    network: nn.Module
    objective: Objective
    recipe: Recipe
    name: str = "training"
    watchers: Sequence[Watcher] = ()
    checkpoint: Path | None = None
    report: Report = warnings.warn


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training leaves: the weights of the last epoch in the network itself, those of the best validation score beside it."""

    steps: int
    seconds: float
    """Wall time of the training, over all the times it was taken up again; what was lost with a kill is not in it."""
    last: Score | None
    best: Score | None
    best_epoch: int | None
    best_weights: Mapping[str, Tensor] | None
    device: str
    precision: str
    compiled: bool
    """Whether the network was."""
