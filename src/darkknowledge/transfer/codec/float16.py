"""Rows of float16: half the bytes, 11 bits of precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from darkknowledge.contract import Dense

LARGEST = 65504.0
"""The largest finite float16."""


@dataclass(frozen=True, slots=True)
class Float16:
    """Every logit as 2 little-endian bytes, off by at most 2⁻¹¹ of itself (2⁻²⁵ where it is below 2⁻¹⁴).

    >>> codec = Float16(2)
    >>> codec.decode(codec.encode(torch.tensor([[0.1, -3.0]])))
    tensor([[ 0.1000, -3.0000]])
    """

    classes: int
    name: ClassVar[str] = "float16"
    temperatures: ClassVar[None] = None

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return 2 * self.classes

    def options(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def unfit(self, logits: Tensor) -> Tensor:
        """Rows with a logit beyond ±65504, which would become an infinity or be moved."""
        return logits.abs().amax(-1) > LARGEST

    def encode(self, logits: Tensor) -> Tensor:
        """The bytes (R, 2 C) of logits (R, C), rounded to the nearest float16."""
        return logits.half().contiguous().view(torch.uint8)

    def decode(self, rows: Tensor, temperature: float = 1.0) -> Tensor:
        """The logits (R, C) float32, the same for every temperature."""
        return rows.view(torch.float16).float()

    def stored(self, rows: Tensor) -> Dense:
        """The float16 numbers (R, C)."""
        return Dense(rows.view(torch.float16))

    def extremes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest logit of each row."""
        low, high = self.decode(rows).aminmax(dim=-1)
        return low, high

    def broken(self, rows: Tensor) -> Tensor:
        """Rows with a NaN or an infinity."""
        return ~self.decode(rows).isfinite().all(-1)
