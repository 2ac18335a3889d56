"""One example, and what a network answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.objective import soften
from darkknowledge.report.figure._style import COLOURS
from darkknowledge.transfer import printable

SHOWN = 10
"""Classes at most in a figure; of more, those with the largest logits."""
LONGEST = 14
"""Letters at most of a class name."""
OTHER = "#9a9a9a"
"""Of the classes that are not among the three likeliest."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An example of class ``label`` (None: unknown), its ``picture`` (C, H, W) in [0, 1] if it has one, and the logits (C,) of networks by name."""

    class_names: Sequence[str]
    logits: Mapping[str, Tensor]
    label: int | None = None
    picture: Tensor | None = None

    def shown(self) -> tuple[list[int], list[str]]:
        """The classes of a figure, in their order, and what they are called in it."""
        first = next(iter(self.logits.values()))
        indices = sorted(first.topk(min(SHOWN, len(first))).indices.tolist())
        return indices, [short(self.class_names[index]) for index in indices]

    @property
    def title(self) -> str:
        """What the picture shows."""
        return "" if self.label is None else f"labelled {short(self.class_names[self.label])}"


def short(name: str) -> str:
    """A class name that fits beside a bar and holds nothing but letters and signs."""
    name = printable(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def probabilities(logits: Tensor, temperatures: Sequence[float]) -> Tensor:
    """Soft targets (T, C) of one answer (C,), a row for each temperature."""
    return torch.stack([soften(logits.double(), temperature=temperature) for temperature in temperatures])


def colours(logits: Tensor, indices: Sequence[int]) -> list[str]:
    """A colour of its own for the three likeliest classes, and grey for the others."""
    ranked = logits[list(indices)].argsort(descending=True).tolist()
    found = [OTHER] * len(indices)
    for place, colour in zip(ranked, COLOURS[:3], strict=False):
        found[place] = colour
    return found
