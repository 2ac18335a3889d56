"""Rows of uint8: 256 even steps from a row's lowest logit to its highest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from darkknowledge.contract import Dense

STEPS = 255


@dataclass(frozen=True, slots=True)
class UInt8:
    r"""Per row the lowest logit m and a step s, float32 each, then C bytes q: the logit is :math:`m + s q`, off by at most s/2 and the rounding of
    that sum to float32.

    The step is (highest − lowest) / 255, rounded up, so that no q exceeds 255; a constant row has step 0 and is exact.

    >>> codec = UInt8(3)
    >>> codec.decode(codec.encode(torch.tensor([[0.0, 1.0, 255.0]])))
    tensor([[  0.,   1., 255.]])
    """

    classes: int
    name: ClassVar[str] = "uint8"
    temperatures: ClassVar[None] = None

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return 8 + self.classes

    def options(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def unfit(self, logits: Tensor) -> Tensor:
        """Rows whose range is too large for float32."""
        low, high = logits.aminmax(dim=-1)
        return ~(high - low).isfinite() | (high - low > torch.finfo(torch.float32).max / 2)

    def encode(self, logits: Tensor) -> Tensor:
        """The bytes (R, 8 + C) of logits (R, C), each rounded to the nearest step."""
        low, high = (part.double() for part in logits.aminmax(dim=-1, keepdim=True))
        exact = (high - low) / STEPS
        step = exact.float()
        step = torch.where(step < exact, step.nextafter(step.new_full((), torch.inf)), step)
        counts = ((logits - low) / step.double().where(step > 0, 1.0)).round().to(torch.uint8)
        return torch.cat((torch.cat((low.float(), step), dim=1).view(torch.uint8), counts), dim=1)

    def decode(self, rows: Tensor, temperature: float = 1.0) -> Tensor:
        """The logits (R, C) float32, the same for every temperature."""
        line = rows[:, :8].clone(memory_format=torch.contiguous_format).view(torch.float32)
        return rows[:, 8:].float().mul_(line[:, 1:]).add_(line[:, :1])

    def stored(self, rows: Tensor) -> Dense:
        """The bytes q (R, C) and the steps s (R, 1)."""
        return Dense(rows[:, 8:], rows[:, 4:8].clone(memory_format=torch.contiguous_format).view(torch.float32))

    def extremes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest logit of each row."""
        low, high = self.decode(rows).aminmax(dim=-1)
        return low, high

    def broken(self, rows: Tensor) -> Tensor:
        """Rows with a lowest logit or step that is not finite, or a negative step."""
        line = rows[:, :8].clone(memory_format=torch.contiguous_format).view(torch.float32)
        return ~self.decode(rows).isfinite().all(-1) | (line[:, 1] < 0)
