"""Rows of float32: the logits themselves, 4 bytes a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from darkknowledge.contract import Dense


@dataclass(frozen=True, slots=True)
class Float32:
    """Every logit as 4 little-endian bytes; exact.

    >>> codec = Float32(2)
    >>> codec.decode(codec.encode(torch.tensor([[0.1, -3.0]])))
    tensor([[ 0.1000, -3.0000]])
    """

    classes: int
    name: ClassVar[str] = "float32"
    temperatures: ClassVar[None] = None

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return 4 * self.classes

    def options(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def unfit(self, logits: Tensor) -> Tensor:
        """No finite float32 is too large."""
        return torch.zeros(len(logits), dtype=torch.bool, device=logits.device)

    def encode(self, logits: Tensor) -> Tensor:
        """The bytes (R, 4 C) of logits (R, C)."""
        return logits.float().contiguous().view(torch.uint8)

    def decode(self, rows: Tensor, temperature: float = 1.0) -> Tensor:
        """The logits (R, C), the same for every temperature."""
        return rows.view(torch.float32)

    def stored(self, rows: Tensor) -> Dense:
        """The float32 numbers (R, C)."""
        return Dense(rows.view(torch.float32))

    def extremes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest logit of each row."""
        low, high = self.decode(rows).aminmax(dim=-1)
        return low, high

    def broken(self, rows: Tensor) -> Tensor:
        """Rows with a NaN or an infinity."""
        return ~self.decode(rows).isfinite().all(-1)
