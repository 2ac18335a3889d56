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
        means.steps = int(state["steps"])
        if any(total.ndim for total in means.sums.values()):
            raise ValueError("its means are no scalars")
        return means

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add scalars on the device, without waiting for it."""
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()

    @property
    def means(self) -> dict[str, Tensor]:
        """Where they are: on the device."""
        return {name: total / max(self.steps, 1) for name, total in self.sums.items()}

    def clear(self) -> None:
        """Start anew."""
        self.sums, self.steps = {}, 0

    def state(self) -> dict[str, Any]:
        """What a resume needs to go on counting."""
        return {"sums": dict(self.sums), "steps": self.steps}


def read(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars, in one transfer from their device."""
    return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True)) if values else {}
