"""Running means that stay on the device until somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Means:
    """Sums of named scalars over steps. ``add`` may be called several times a step, with parts that belong together."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    @classmethod
    def of(cls, state: Mapping[str, Any], device: torch.device) -> Means:
        """What `state` was taken of."""
        means = cls()
        means.sums = {name: tensor.to(device) for name, tensor in state["sums"].items()}
        means.steps = state["steps"]
        return means

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add scalars on the device, without waiting for it."""
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()

    def take(self) -> dict[str, float]:
        """The means since the last time, in one transfer from the device; start anew."""
        if not self.sums:
            return {}
        values = (torch.stack(list(self.sums.values())) / max(self.steps, 1)).tolist()
        found = dict(zip(self.sums, values, strict=True))
        self.sums, self.steps = {}, 0
        return found

    def state(self) -> dict[str, Any]:
        """What a resume needs to go on counting."""
        return {"sums": dict(self.sums), "steps": self.steps}
