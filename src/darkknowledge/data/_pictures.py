"""What the kinds of pictures of this room have in common."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from torch import Tensor

from darkknowledge.contract import Examples
from darkknowledge.data._replay import Replayable


class Pictures(Examples, Protocol):
    """Examples that can be divided and augmented."""

    def to(self, device: torch.device | str) -> Self:
        """The same examples, made on another device where they lie in memory."""

    def select(self, positions: Tensor, *, labels: Tensor) -> Self:
        """The examples at ``positions`` alone, with these ``labels``."""

    def augmented(self, recipe: str | Replayable, *, seed: int) -> Self:
        """The same examples whose views follow the recipe, one by name or one of the user's own."""
